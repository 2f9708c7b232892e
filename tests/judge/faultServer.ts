/** A judge's server that fails in every way there is, at a given rate, and counts what it is asked. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerIn, type ChatBody } from './server.js'

export const faults = [
  'limited',
  'limited_with_retry_after',
  'error_500',
  'error_503',
  'hang',
  'reset_in_headers',
  'reset_in_body',
  'page_instead_of_json',
  'truncated_json',
  'truncated_digits',
  'cut_at_token_limit',
  'wrong_schema',
  'number_as_words',
  'nan',
  'out_of_range',
  'empty',
  'refusal',
  'slow_drip'
] as const
export type Fault = (typeof faults)[number]

export interface FaultServer {
  url: string
  /** Times that each answer was asked about. */
  asked: Map<string, number>
  seen: Map<Fault, number>
  close(): Promise<void>
}

/** The right score of `answer N`, on a scale from 0 to 100. */
export const rightScore = (answer: string): number => (Number(/\d+/.exec(answer)![0]) * 37) % 101

export async function startFaultServer({
  rate,
  seed = 1,
  scoreOf = rightScore
}: {
  rate: number
  seed?: number
  scoreOf?: (answer: string) => number
}): Promise<FaultServer> {
  const asked = new Map<string, number>()
  const seen = new Map<Fault, number>()
  let state = seed
  const random = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const server: Server = createServer((request, response) => {
    void bodyOf(request).then((text) => {
      const body = JSON.parse(text) as ChatBody
      const answer = answerIn(body)
      asked.set(answer, (asked.get(answer) ?? 0) + 1)
      const fault = random() < rate ? faults[Math.floor(random() * faults.length)] : undefined
      if (fault) seen.set(fault, (seen.get(fault) ?? 0) + 1)
      respond(response, request, scoreOf(answer), fault)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    seen,
    close: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  return text
}

function completion(content: string, finish = 'stop', refusal: string | null = null): string {
  const message = { role: 'assistant', content, refusal }
  return JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 0,
    model: 'test',
    choices: [{ index: 0, message, finish_reason: finish, logprobs: null }],
    usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 }
  })
}

function respond(response: ServerResponse, request: IncomingMessage, score: number, fault: Fault | undefined): void {
  const send = (text: string, status = 200, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(text)
  }
  const error = (status: number, headers: Record<string, string> = {}): void =>
    send('{"error":{"message":"scripted failure","type":"test"}}', status, headers)
  const right = JSON.stringify({ score })
  switch (fault) {
    case undefined:
      return send(completion(right))
    case 'limited':
      return error(429)
    case 'limited_with_retry_after':
      return error(429, { 'retry-after-ms': '30' })
    case 'error_500':
      return error(500)
    case 'error_503':
      return error(503)
    case 'hang':
      return
    case 'reset_in_headers':
      return void request.socket.destroy()
    case 'reset_in_body':
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '5000' })
      response.write('{"id": "chatcmpl-1", "choices": [{"message": {"content": "{\\"score\\": 1')
      return void setTimeout(() => request.socket.destroy(), 5)
    case 'page_instead_of_json':
      return send('<html><body>Bad gateway: score 100</body></html>')
    case 'truncated_json':
      return send(completion('{"score": '))
    case 'truncated_digits':
      return send(completion(`{"score": ${String(score).slice(0, 1)}`))
    case 'cut_at_token_limit':
      return send(completion(`{"score": ${String(score).slice(0, 1)}`, 'length'))
    case 'wrong_schema':
      return send(completion(JSON.stringify({ rating: score, verdict: 'fine' })))
    case 'number_as_words':
      return send(completion('{"score": "ninety-nine"}'))
    case 'nan':
      return send(completion('{"score": NaN}'))
    case 'out_of_range':
      return send(completion('{"score": 1000}'))
    case 'empty':
      return send(completion(''))
    case 'refusal':
      return send(completion('', 'stop', 'I cannot help with that.'))
    case 'slow_drip': {
      const text = completion(right)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': String(text.length) })
      let sent = 0
      const timer = setInterval(() => response.write(text[sent++] ?? ' '), 50)
      response.on('close', () => clearInterval(timer))
    }
  }
}
