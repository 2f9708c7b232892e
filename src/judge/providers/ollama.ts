/** Ollama's chat: a schema as `format` (which not every model heeds), thinking off, room for the whole prompt. */
import type { ChatRequest, ChatResponse } from 'ollama'
import type { Provider, ProviderReply, ProviderRequest, ReplyToken } from './provider.js'
import { Features, importClient, limitKeyOf, type ProviderOptions } from './shared.js'

interface OllamaToken {
  token: string
  logprob: number
  top_logprobs?: { token: string; logprob: number }[]
}

export async function ollamaProvider(options: ProviderOptions): Promise<Provider> {
  const { Ollama } = await importClient('ollama', () => import('ollama'))
  const host = options.baseURL ?? process.env.OLLAMA_HOST ?? 'http://127.0.0.1:11434'
  const features = new Features({ think: /think/i, logprobs: /log_?probs/i, format: /format|grammar|schema/i })

  const call = async (request: ProviderRequest): Promise<ProviderReply> => {
    let headers: Headers | undefined
    // The client has no signal of its own per call, and drops the headers of an error.
    const client = new Ollama({
      host,
      ...(options.apiKey === undefined ? {} : { headers: { authorization: `Bearer ${options.apiKey}` } }),
      fetch: async (input: string | URL | Request, init?: RequestInit) => {
        const response = await fetch(input, { ...init, signal: request.signal })
        headers = response.headers
        return response
      }
    })
    const body: ChatRequest & { stream: false; logprobs?: boolean; top_logprobs?: number } = {
      model: options.model,
      stream: false,
      messages: request.messages.map(({ role, content }) => ({ role, content })),
      options: {
        temperature: request.temperature,
        seed: request.seed,
        num_predict: request.maxTokens,
        num_ctx: contextFor(request)
      },
      ...(features.has('format') ? { format: request.schema } : {}),
      ...(features.has('think') ? { think: false } : {}),
      ...(request.logProbs && features.has('logprobs') ? { logprobs: true, top_logprobs: 20 } : {})
    }
    try {
      return replyOf(await client.chat(body))
    } catch (error) {
      if (error instanceof Error && headers) Object.assign(error, { headers })
      throw error
    }
  }

  return {
    name: 'ollama',
    limitKey: limitKeyOf('ollama', host, options.apiKey),
    call: (request) =>
      features.negotiate(
        () => call(request),
        () => ''
      )
  }
}

/** A power of two from 8192 up (Ollama reloads the model when it changes): its default of 4096 cuts prompts silently. */
function contextFor(request: ProviderRequest): number {
  const characters = request.messages.reduce((sum, { content }) => sum + content.length, 0)
  const needed = characters / 2 + request.maxTokens + 256
  return Math.max(8192, 2 ** Math.ceil(Math.log2(needed)))
}

function replyOf(response: ChatResponse): ProviderReply {
  const tokens = (response as { logprobs?: OllamaToken[] }).logprobs?.map(
    ({ token, logprob, top_logprobs: top }): ReplyToken => ({
      token,
      logProb: logprob,
      top: (top ?? []).map((entry) => ({ token: entry.token, logProb: entry.logprob }))
    })
  )
  const message = response.message as ChatResponse['message'] | undefined
  return {
    text: message?.content ?? '',
    ...(tokens && tokens.length > 0 ? { tokens } : {}),
    usage: { inputTokens: response.prompt_eval_count ?? 0, outputTokens: response.eval_count ?? 0 },
    finishReason: response.done_reason === 'length' ? 'length' : response.done_reason === 'stop' ? 'stop' : 'other'
  }
}
