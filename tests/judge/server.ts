/** A loopback server with the shape of OpenAI's chat completions, whose behaviour each test scripts. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ChatBody {
  model: string
  messages: { role: string; content: string }[]
  temperature?: number
  seed?: number
  max_tokens?: number
  logprobs?: boolean
  response_format?: { type: string }
}

export type Answer =
  | { content: string; finish?: string; refusal?: string; logprobs?: unknown; delay?: number }
  | { status: number; headers?: Record<string, string>; error?: string }
  | { raw: string }
  | 'hang'
  | 'reset'
  /** Closes the connection in the middle of the body. */
  | 'cut'

export interface TestServer {
  url: string
  port: number
  requests: ChatBody[]
  close(): Promise<void>
}

export async function startServer(answer: (body: ChatBody, index: number) => Answer, port = 0): Promise<TestServer> {
  const requests: ChatBody[] = []
  const server: Server = createServer((request, response) => {
    // A probe whether anything is there; no question.
    if (request.method === 'GET') return void response.end('{"data":[]}')
    void readBody(request).then((text) => {
      const body = JSON.parse(text) as ChatBody
      requests.push(body)
      respond(response, request, answer(body, requests.length - 1))
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const bound = (server.address() as AddressInfo).port
  return {
    url: `http://127.0.0.1:${bound}/v1`,
    port: bound,
    requests,
    close: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

function respond(response: ServerResponse, request: IncomingMessage, answer: Answer): void {
  if (answer === 'hang') return
  if (answer === 'reset') {
    request.socket.destroy()
    return
  }
  if (answer === 'cut') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '5000' })
    response.write('{"id": "chatcmpl-1", "choices": [')
    setTimeout(() => request.socket.destroy(), 20)
    return
  }
  if ('raw' in answer) {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(answer.raw)
    return
  }
  if ('status' in answer) {
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers })
    response.end(JSON.stringify({ error: { message: answer.error ?? 'scripted failure', type: 'test' } }))
    return
  }
  const { content, finish = 'stop', refusal = null, logprobs = null, delay = 0 } = answer
  const reply = {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 0,
    model: 'test',
    choices: [{ index: 0, message: { role: 'assistant', content, refusal }, finish_reason: finish, logprobs }],
    usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 }
  }
  setTimeout(() => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(reply))
  }, delay)
}

/** The answer that stands between the fences of a judge's prompt. */
export function answerIn(body: ChatBody): string {
  const content = body.messages.find(({ role }) => role === 'user')?.content ?? ''
  return /<<<BEGIN ANSWER \w+>>>\n([\s\S]*?)\n<<<END ANSWER/.exec(content)?.[1] ?? ''
}

export const score = (value: unknown): string => JSON.stringify({ score: value })
