/** text_similarity's cosine: texts compared by their embeddings. */
import { messageOf } from '../judge/retry.js'
import { checkedGrader, graderOf, textField } from './common.js'
import { openaiEmbedder } from './embedder.js'
import { GraderFailure } from './failure.js'
import type { Template } from './template.js'
import type { Embedder, Grader, GraderSpec, MakerOptions } from './types.js'

/** OpenAI's graders embed with it. */
const defaultModel = 'text-embedding-3-large'

/** In [-1, 1]. `embedding_model` and `base_url` (ours) name another model and server. */
export function cosineGrader(
  spec: GraderSpec,
  where: string,
  options: MakerOptions,
  input: Template,
  reference: Template
): Grader {
  if (options.checkOnly) return checkedGrader(spec)
  const own = options.embedder === undefined
  const embedder = options.embedder ?? openEmbedder(spec, where, options)
  const batch = new EmbeddingBatch(embedder)
  return graderOf(
    spec,
    where,
    async (scope, _, { signal }) => {
      if (signal?.aborted) throw new GraderFailure('the run was cancelled', 'cancelled')
      const texts = [input.render(scope), reference.render(scope)]
      // An embedding of nothing is refused by servers, and means nothing.
      if (texts.some((text) => text === '')) throw new GraderFailure('an empty text has no embedding', 'empty_answer')
      const [a, b] = await Promise.all(texts.map((text) => batch.embed(text)))
      return { score: cosine(a, b) }
    },
    () => (own ? embedder.close() : Promise.resolve())
  )
}

function openEmbedder(spec: GraderSpec, where: string, options: MakerOptions): Embedder {
  const { baseURL: given, apiKey, timeout, attempts, concurrency } = options.judge ?? {}
  const model = spec.embedding_model === undefined ? defaultModel : textField(spec, 'embedding_model', where)
  const baseURL = spec.base_url === undefined ? given : textField(spec, 'base_url', where)
  return openaiEmbedder({
    model,
    ...(baseURL === undefined ? {} : { baseURL }),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(timeout === undefined ? {} : { timeout }),
    ...(attempts === undefined ? {} : { attempts }),
    ...(concurrency === undefined ? {} : { concurrency })
  })
}

/** What is asked for in one turn of the event loop is embedded by one call, each text once. */
class EmbeddingBatch {
  private waiting = new Map<string, Promise<Float32Array>>()
  private next: Promise<Map<string, Float32Array>> | undefined

  constructor(private readonly embedder: Embedder) {}

  embed(text: string): Promise<Float32Array> {
    this.next ??= this.gather()
    let vector = this.waiting.get(text)
    if (!vector) {
      vector = this.next.then((vectors) => vectors.get(text)!)
      this.waiting.set(text, vector)
    }
    return vector
  }

  private async gather(): Promise<Map<string, Float32Array>> {
    await new Promise((resolve) => setImmediate(resolve))
    const texts = [...this.waiting.keys()]
    this.waiting = new Map()
    this.next = undefined
    try {
      const vectors = await this.embedder.embed(texts)
      return new Map(texts.map((text, index) => [text, vectors[index]]))
    } catch (error) {
      if (error instanceof GraderFailure) throw error
      throw new GraderFailure(messageOf(error), 'provider_error', 'model_grader_server_error')
    }
  }
}

/** 0 where one of them has no length. */
function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, normA, normB] = [0, 0, 0]
  for (let at = 0; at < a.length; at++) {
    dot += a[at] * b[at]
    normA += a[at] * a[at]
    normB += b[at] * b[at]
  }
  const norms = Math.sqrt(normA) * Math.sqrt(normB)
  return norms === 0 ? 0 : Math.max(-1, Math.min(1, dot / norms))
}
