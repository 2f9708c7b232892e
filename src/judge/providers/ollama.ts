/** Ollama's chat: a schema as `format` (which not every model heeds), thinking off, room for the whole prompt. */
import type { ChatRequest, ChatResponse, Message as OllamaMessage } from 'ollama'
import { AdjudgeError } from '../../errors.js'
import { imagesOf, textOf } from '../content.js'
import { secretNamed } from '../secrets.js'
import type { JudgeMessage } from '../types.js'
import { Features } from './features.js'
import { dataOf } from './images.js'
import { tokensOf } from './openai/chat.js'
import type { ProviderReply, ProviderRequest } from './provider.js'
import type { ProviderOptions } from './shared.js'
import type { WireFormat } from './wire.js'

export function ollamaFormat(options: ProviderOptions): WireFormat {
  const server = options.baseURL ?? hostFrom(process.env.OLLAMA_HOST)
  const key = options.apiKey ?? secretNamed('OLLAMA_API_KEY')
  const features = new Features({ think: /think/i, logprobs: /log_?probs/i, format: /format|grammar|schema/i })
  const bodyFor = (request: ProviderRequest): ChatRequest => ({
    model: options.model,
    stream: false,
    messages: request.messages.map(messageOf),
    options: {
      temperature: request.temperature,
      seed: request.seed,
      num_predict: request.maxTokens,
      num_ctx: contextFor(request)
    },
    ...(options.keepAlive === undefined ? {} : { keep_alive: options.keepAlive }),
    ...(features.has('format') ? { format: request.schema } : {}),
    ...(features.has('think') ? { think: false } : {}),
    ...(request.logProbs && features.has('logprobs') ? { logprobs: true, top_logprobs: 20 } : {})
  })
  return {
    name: 'ollama',
    baseURL: server ?? 'http://127.0.0.1:11434',
    ownServer: server !== undefined,
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
    secrets: key === undefined ? [] : [key],
    features,
    request: (request) => ({
      path: '/api/chat',
      body: JSON.stringify({ ...bodyFor(request), ...options.extraBody })
    }),
    read: (reply) => readChat(reply as Partial<ChatResponse> | null),
    parse: parseLines
  }
}

/** `OLLAMA_HOST` in all the forms that Ollama takes: `0.0.0.0`, `host:port`, a URL. */
function hostFrom(variable: string | undefined): string | undefined {
  if (!variable?.trim()) return undefined
  const text = variable.trim()
  const address = /^https?:\/\//.test(text) ? text : `http://${text.startsWith(':') ? `127.0.0.1${text}` : text}`
  // What is no address is refused, and named, where connections are made.
  if (!URL.canParse(address)) return address
  const url = new URL(address)
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1'
  // A port of 80 disappears in a URL: it is as good as given only where the scheme was.
  if (url.port === '' && !/^https?:\/\//.test(text)) url.port = '11434'
  return url.href
}

function messageOf({ role, content }: JudgeMessage): OllamaMessage {
  const images = imagesOf(content).map(({ image_url: { url } }) => {
    const inline = dataOf(url)
    if (inline) return inline.data
    throw new AdjudgeError('JUDGE_INVALID', `judge: ollama fetches no images (${url}); give a file or a data: URL`)
  })
  return { role, content: textOf(content), ...(images.length > 0 ? { images } : {}) }
}

/** A power of two from 8192 up (Ollama reloads the model when it changes): its default of 4096 cuts prompts silently. */
function contextFor(request: ProviderRequest): number {
  const characters = request.messages.reduce((sum, { content }) => sum + textOf(content).length, 0)
  const images = request.messages.reduce((sum, { content }) => sum + imagesOf(content).length, 0)
  const needed = characters / 2 + images * 1024 + request.maxTokens + 256
  return Math.max(8192, 2 ** Math.ceil(Math.log2(needed)))
}

/** One object, or a line for each piece of the answer: some gateways stream whatever they are asked. */
function parseLines(text: string): unknown {
  const lines = text.split('\n').filter((line) => line.trim() !== '')
  if (lines.length < 2) return JSON.parse(text) as unknown
  let parts: Partial<ChatResponse & { error: string; logprobs: unknown[] }>[]
  try {
    parts = lines.map((line) => JSON.parse(line) as object)
  } catch (error) {
    // One object over several lines.
    try {
      return JSON.parse(text) as unknown
    } catch {
      throw error
    }
  }
  const failed = parts.find((part) => part.error !== undefined)
  if (failed) return failed
  const last = parts[parts.length - 1]
  if (last.done !== true) throw new SyntaxError('the stream ends before its last line')
  const logprobs = parts.flatMap((part) => part.logprobs ?? [])
  return {
    ...last,
    message: { role: 'assistant', content: parts.map((part) => part.message?.content ?? '').join('') },
    ...(logprobs.length > 0 ? { logprobs } : {})
  }
}

function readChat(response: Partial<ChatResponse> | null): ProviderReply {
  const tokens = tokensOf(response?.logprobs)
  const done = response?.done_reason
  return {
    text: typeof response?.message?.content === 'string' ? response.message.content : '',
    ...(tokens ? { tokens } : {}),
    usage: { inputTokens: response?.prompt_eval_count ?? 0, outputTokens: response?.eval_count ?? 0 },
    finishReason: done === 'length' ? 'length' : done === 'stop' ? 'stop' : 'other'
  }
}
