/** Any server with OpenAI's chat completions: OpenAI, vLLM, SGLang, llama.cpp, LM Studio, … */
import type OpenAI from 'openai'
import type { ChatCompletion, ChatCompletionCreateParamsNonStreaming } from 'openai/resources/chat/completions'
import type { Provider, ProviderReply, ProviderRequest, ReplyToken } from './provider.js'
import { apiKeyOf, Features, importClient, limitKeyOf, type ProviderOptions } from './shared.js'

export async function openaiProvider(options: ProviderOptions): Promise<Provider> {
  const apiKey = apiKeyOf(options, 'OPENAI_API_KEY')
  const { OpenAI: Client } = await importClient('openai', () => import('openai'))
  const client: OpenAI = new Client({
    apiKey,
    maxRetries: 0,
    // Our own limit ends calls; the client's must not come first.
    timeout: 24 * 60 * 60 * 1000,
    logLevel: 'off',
    ...(options.baseURL === undefined ? {} : { baseURL: options.baseURL })
  })
  const features = new Features({
    logprobs: /log_?probs|logits_all/i,
    jsonSchema: /response_format|json_schema/i,
    jsonObject: /response_format|json_object/i,
    maxCompletionTokens: /max_completion_tokens/i,
    maxTokens: /max_tokens/i,
    temperature: /temperature/i,
    seed: /\bseed\b/i
  })
  const bodyOf = (error: unknown): string => JSON.stringify((error as { error?: unknown } | null)?.error ?? '')

  const bodyFor = (request: ProviderRequest): ChatCompletionCreateParamsNonStreaming => ({
    model: options.model,
    messages: request.messages.map(({ role, content }) => ({
      role: role === 'tool' ? 'user' : role,
      content
    })),
    ...(features.has('temperature') ? { temperature: request.temperature } : {}),
    ...(features.has('seed') ? { seed: request.seed } : {}),
    ...limitOf(request.maxTokens),
    ...(request.logProbs && features.has('logprobs') ? { logprobs: true, top_logprobs: 20 } : {}),
    ...formatOf(request.schema)
  })
  // OpenAI's own newer models take only max_completion_tokens, most other servers only max_tokens.
  const limitOf = (
    limit: number
  ): Pick<ChatCompletionCreateParamsNonStreaming, 'max_tokens' | 'max_completion_tokens'> => {
    const modern = options.baseURL === undefined ? features.has('maxCompletionTokens') : !features.has('maxTokens')
    return modern ? { max_completion_tokens: limit } : { max_tokens: limit }
  }
  const formatOf = (
    schema: Record<string, unknown>
  ): Pick<ChatCompletionCreateParamsNonStreaming, 'response_format'> => {
    if (features.has('jsonSchema')) {
      return { response_format: { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema } } }
    }
    // llama-cpp-python takes a schema here; others ignore the key.
    const jsonObject = { type: 'json_object' as const, schema }
    return features.has('jsonObject') ? { response_format: jsonObject } : {}
  }

  return {
    name: 'openai',
    limitKey: limitKeyOf('openai', options.baseURL, apiKey),
    call: (request) =>
      features.negotiate(
        async () => replyOf(await client.chat.completions.create(bodyFor(request), { signal: request.signal })),
        bodyOf
      )
  }
}

function replyOf(completion: ChatCompletion): ProviderReply {
  // A proxy may answer 200 with anything at all.
  const choice = (completion as Partial<ChatCompletion> | null)?.choices?.[0]
  const message = choice?.message
  const finish = choice?.finish_reason
  const refusal = message?.refusal ?? undefined
  const text = typeof message?.content === 'string' ? message.content : ''
  const tokens = tokensOf(choice?.logprobs)
  return {
    text,
    ...(tokens ? { tokens } : {}),
    usage: {
      inputTokens: (completion as ChatCompletion | null)?.usage?.prompt_tokens ?? 0,
      outputTokens: (completion as ChatCompletion | null)?.usage?.completion_tokens ?? 0
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

function tokensOf(logprobs: ChatCompletion.Choice['logprobs'] | undefined): ReplyToken[] | undefined {
  const content = logprobs?.content
  if (!Array.isArray(content) || content.length === 0) return undefined
  return content.map(({ token, logprob, top_logprobs: top }) => ({
    token,
    logProb: logprob,
    top: (Array.isArray(top) ? top : []).map((entry) => ({ token: entry.token, logProb: entry.logprob }))
  }))
}
