/** Chat completions, as OpenAI and the many servers that follow it have them. */
import type { ChatCompletion, ChatCompletionCreateParamsNonStreaming } from 'openai/resources/chat/completions'
import type { JudgeMessage } from '../../types.js'
import { Features } from '../features.js'
import type { ProviderReply, ProviderRequest, ReplyToken } from '../provider.js'
import type { WireFormat } from '../wire.js'

/**
 * How a server is asked for a schema: OpenAI's `response_format`; vLLM's own field, new and old; JSON alone, with the
 * schema beside it for servers that look there (llama-cpp-python).
 */
export type StructuredForm = 'json_schema' | 'structured_outputs' | 'guided_json' | 'json_object'

/** In what a server's chat completions differ from OpenAI's. */
export interface Dialect {
  /** Best first; a server that refuses one is asked the next way. */
  structured: readonly StructuredForm[]
  /** Most alternatives per token that may be asked for; 0: the server has no log-probs. */
  topLogProbs: number
  /** OpenAI's own newer models take only `max_completion_tokens`, most other servers only `max_tokens`. */
  limit: 'max_completion_tokens' | 'max_tokens'
  seed: 'seed' | 'random_seed'
}

export const openaiDialect: Dialect = {
  structured: ['json_schema', 'json_object'],
  topLogProbs: 20,
  limit: 'max_completion_tokens',
  seed: 'seed'
}

type Feature = 'logprobs' | StructuredForm | 'limit' | 'temperature' | 'seed'

export interface ChatWire {
  name: string
  model: string
  baseURL: string
  ownServer: boolean
  headers: Record<string, string>
  secrets: string[]
  dialect: Dialect
  path?: string
  extraBody?: Record<string, unknown>
}

export function chatFormat(wire: ChatWire): WireFormat {
  const { model, dialect, extraBody } = wire
  const { structured, topLogProbs, limit } = dialect
  const otherLimit = limit === 'max_tokens' ? 'max_completion_tokens' : 'max_tokens'
  const refusals: Record<Feature, RegExp> = {
    logprobs: /log_?probs|logits_all/i,
    json_schema: /response_format|json_schema/i,
    structured_outputs: /structured_outputs/i,
    guided_json: /guided_json/i,
    json_object: /response_format|json_object/i,
    limit: new RegExp(limit, 'i'),
    temperature: /temperature/i,
    seed: /\b(random_)?seed\b/i
  }
  const features = new Features<Feature>(
    Object.fromEntries(
      Object.entries(refusals).filter(([name]) => !(name in forms) || structured.includes(name as StructuredForm))
    )
  )

  /** All but model and messages. */
  const restFor = (request: ProviderRequest): object => {
    const form = structured.find((name) => features.has(name))
    return {
      ...(features.has('temperature') ? { temperature: request.temperature } : {}),
      ...(features.has('seed') ? { [dialect.seed]: request.seed } : {}),
      [features.has('limit') ? limit : otherLimit]: request.maxTokens,
      ...(request.logProbs && topLogProbs > 0 && features.has('logprobs')
        ? { logprobs: true, top_logprobs: topLogProbs }
        : {}),
      ...(form ? forms[form](request.schema) : {}),
      ...extraBody
    }
  }
  const bodyFor = (request: ProviderRequest): object => ({
    model,
    messages: request.messages.map(messageOf),
    ...restFor(request)
  })

  // The rest is the same for all questions of a rubric: written once.
  const start = `{"model":${JSON.stringify(model)},"messages":`
  const plain = !extraBody || (!('model' in extraBody) && !('messages' in extraBody))
  let last: (Rest & { refused: number; end: string }) | undefined
  const endFor = (request: ProviderRequest): string => {
    if (last?.refused !== features.refused || !sameRest(last, request)) {
      const rest = JSON.stringify(restFor(request))
      const { schema, maxTokens, temperature, seed, logProbs } = request
      const end = rest === '{}' ? '}' : `,${rest.slice(1)}`
      last = { schema, maxTokens, temperature, seed, logProbs, refused: features.refused, end }
    }
    return last.end
  }
  const textFor = (request: ProviderRequest): string =>
    plain && request.json !== undefined && request.messages.every(isPlain)
      ? start + request.json + endFor(request)
      : JSON.stringify(bodyFor(request))

  return {
    name: wire.name,
    baseURL: wire.baseURL,
    ownServer: wire.ownServer,
    headers: wire.headers,
    secrets: wire.secrets,
    features,
    request: (request) => ({ path: wire.path ?? '/chat/completions', body: textFor(request) }),
    read: (reply) => readCompletion(reply as Partial<ChatCompletion> | null)
  }
}

const isPlain = ({ role, content }: JudgeMessage): boolean => role !== 'tool' && typeof content === 'string'

/** What a request's body holds beside model and messages. */
type Rest = Pick<ProviderRequest, 'schema' | 'maxTokens' | 'temperature' | 'seed' | 'logProbs'>

const sameRest = (a: Rest, b: Rest): boolean =>
  a.schema === b.schema &&
  a.maxTokens === b.maxTokens &&
  a.temperature === b.temperature &&
  a.seed === b.seed &&
  a.logProbs === b.logProbs

const forms: Record<StructuredForm, (schema: Record<string, unknown>) => object> = {
  json_schema: (schema) => ({
    response_format: { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema } }
  }),
  structured_outputs: (schema) => ({ structured_outputs: { json: schema } }),
  guided_json: (schema) => ({ guided_json: schema }),
  json_object: (schema) => ({ response_format: { type: 'json_object', schema } })
}

const messageOf = ({ role, content }: JudgeMessage): ChatCompletionCreateParamsNonStreaming['messages'][number] =>
  ({ role: role === 'tool' ? 'user' : role, content }) as ChatCompletionCreateParamsNonStreaming['messages'][number]

export function readCompletion(completion: Partial<ChatCompletion> | null): ProviderReply {
  const choice = completion?.choices?.[0]
  const message = choice?.message
  const finish = choice?.finish_reason
  const refusal = message?.refusal ?? undefined
  const tokens = tokensOf(choice?.logprobs?.content)
  return {
    text: typeof message?.content === 'string' ? message.content : '',
    ...(tokens ? { tokens } : {}),
    usage: {
      inputTokens: completion?.usage?.prompt_tokens ?? 0,
      outputTokens: completion?.usage?.completion_tokens ?? 0
    },
    finishReason:
      refusal !== undefined || finish === 'content_filter'
        ? 'refusal'
        : finish === 'length'
          ? 'length'
          : finish === 'stop'
            ? 'stop'
            : 'other',
    ...(refusal === undefined ? {} : { refusal })
  }
}

/** Log-probs as chat completions, responses and Ollama write them. */
export function tokensOf(
  content: { token: string; logprob: number; top_logprobs?: { token: string; logprob: number }[] }[] | null | undefined
): ReplyToken[] | undefined {
  if (!Array.isArray(content) || content.length === 0) return undefined
  return content.map(({ token, logprob, top_logprobs: top }) => ({
    token,
    logProb: logprob,
    top: (Array.isArray(top) ? top : []).map((entry) => ({ token: entry.token, logProb: entry.logprob }))
  }))
}
