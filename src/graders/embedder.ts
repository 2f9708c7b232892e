/** Embeddings from a server with OpenAI's `/v1/embeddings`. */
import { apiKeyOf } from '../judge/providers/shared.js'
import { HttpClient } from '../judge/transport/client.js'
import { GraderFailure } from './failure.js'
import { post } from './post.js'
import type { Embedder } from './types.js'

export interface EmbedderOptions {
  model: string
  /** Default: OpenAI's. */
  baseURL?: string
  /** Default: OPENAI_API_KEY from the environment or the secrets file. */
  apiKey?: string
  /** Milliseconds for a request. Default 60,000. */
  timeout?: number
  /** Tries of a request. Default 6. */
  attempts?: number
  /** Requests at once. Default 8. */
  concurrency?: number
}

/** OpenAI takes 2,048 texts and 300,000 tokens at once; other servers take fewer. */
const textsAtOnce = 256

/** Throws JUDGE_INVALID where there is no key for OpenAI's own server, or the address is none. */
export function openaiEmbedder(options: EmbedderOptions): Embedder {
  const { model, baseURL, timeout = 60_000, attempts = 6, concurrency = 8 } = options
  const key = apiKeyOf(options, 'OPENAI_API_KEY', baseURL !== undefined)
  const client = new HttpClient({
    baseURL: baseURL ?? 'https://api.openai.com/v1',
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
    secrets: key === undefined ? [] : [key],
    connections: concurrency
  })
  const request = async (input: readonly string[], signal?: AbortSignal): Promise<Float32Array[]> => {
    const { value } = await post(client, {
      path: '/embeddings',
      body: JSON.stringify({ model, input, encoding_format: 'base64' }),
      attempts,
      timeout,
      signal,
      error: 'model_grader_server_error'
    })
    return vectorsOf(value, input.length)
  }
  return {
    name: `embeddings:${model}`,
    embed: async (texts, { signal } = {}) => {
      const parts: Promise<Float32Array[]>[] = []
      for (let at = 0; at < texts.length; at += textsAtOnce) {
        parts.push(request(texts.slice(at, at + textsAtOnce), signal))
      }
      return (await Promise.all(parts)).flat()
    },
    close: () => client.close()
  }
}

/** By `index`, whatever their order; as base64 (float32, little-endian) or, from servers that know no other, as numbers. */
function vectorsOf(value: unknown, count: number): Float32Array[] {
  const wrong = (what: string): GraderFailure =>
    new GraderFailure(`the embeddings cannot be used: ${what}`, 'unparseable', 'model_grader_server_error')
  const data = (value as { data?: unknown } | null)?.data
  if (!Array.isArray(data) || data.length !== count) throw wrong(`expected ${count} of them`)
  const vectors = new Array<Float32Array | undefined>(count)
  data.forEach((entry: { index?: unknown; embedding?: unknown } | null, place) => {
    const index = typeof entry?.index === 'number' ? entry.index : place
    vectors[index] = vectorOf(entry?.embedding)
  })
  const size = vectors[0]?.length ?? 0
  for (let index = 0; index < count; index++) {
    const vector = vectors[index]
    if (!vector || vector.length === 0) throw wrong(`number ${index} is missing`)
    if (vector.length !== size) throw wrong(`number ${index} has ${vector.length} values, the first has ${size}`)
    if (!vector.every(Number.isFinite)) throw wrong(`number ${index} holds a value that is no number`)
  }
  return vectors as Float32Array[]
}

function vectorOf(embedding: unknown): Float32Array | undefined {
  if (Array.isArray(embedding)) return Float32Array.from(embedding as number[])
  if (typeof embedding !== 'string') return undefined
  const bytes = Buffer.from(embedding, 'base64')
  const vector = new Float32Array(Math.floor(bytes.length / 4))
  for (let at = 0; at < vector.length; at++) vector[at] = bytes.readFloatLE(at * 4)
  return vector
}
