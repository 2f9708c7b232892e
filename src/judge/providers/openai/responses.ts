/** OpenAI's responses: the same question and answer in another form; it takes no seed. */
import type {
  Response,
  ResponseCreateParamsNonStreaming,
  ResponseInputContent,
  ResponseOutputRefusal,
  ResponseOutputText
} from 'openai/resources/responses/responses'
import type { JudgeMessage } from '../../types.js'
import { Features } from '../features.js'
import type { ProviderReply } from '../provider.js'
import type { WireFormat } from '../wire.js'
import { tokensOf, type ChatWire } from './chat.js'

/** The interface refuses lower limits. */
const leastOutput = 16

export function responsesFormat(wire: Omit<ChatWire, 'dialect' | 'path'>): WireFormat {
  const features = new Features({
    logprobs: /log_?probs/i,
    temperature: /temperature/i,
    schema: /text\.format|schema/i
  })
  return {
    name: wire.name,
    baseURL: wire.baseURL,
    ownServer: wire.ownServer,
    headers: wire.headers,
    secrets: wire.secrets,
    features,
    request: ({ messages, schema, logProbs, maxTokens, temperature }) => {
      const body: ResponseCreateParamsNonStreaming = {
        model: wire.model,
        input: messages.map(messageOf),
        max_output_tokens: Math.max(leastOutput, maxTokens),
        store: false,
        ...(features.has('temperature') ? { temperature } : {}),
        ...(features.has('schema')
          ? { text: { format: { type: 'json_schema', name: 'verdict', strict: true, schema } } }
          : {}),
        ...(logProbs && features.has('logprobs') ? { include: ['message.output_text.logprobs'], top_logprobs: 20 } : {})
      }
      return { path: '/responses', body: JSON.stringify({ ...body, ...wire.extraBody }) }
    },
    read: (reply) => readResponse(reply as Partial<Response> | null)
  }
}

function messageOf({ role, content }: JudgeMessage): {
  role: 'system' | 'user' | 'assistant'
  content: string | ResponseInputContent[]
} {
  return { role: role === 'tool' ? 'user' : role, content: inputParts(content) }
}

/** Content in the form that responses and decisions share. */
export function inputParts(content: JudgeMessage['content']): string | ResponseInputContent[] {
  if (typeof content === 'string') return content
  return content.map((part) =>
    part.type === 'text'
      ? { type: 'input_text', text: part.text }
      : { type: 'input_image', image_url: part.image_url.url, detail: part.image_url.detail ?? 'auto' }
  )
}

function readResponse(response: Partial<Response> | null): ProviderReply {
  const output = Array.isArray(response?.output) ? response.output : []
  const parts = output.flatMap((item): (ResponseOutputText | ResponseOutputRefusal)[] =>
    item.type === 'message' && Array.isArray(item.content) ? item.content : []
  )
  const texts = parts.filter((part) => part.type === 'output_text')
  const refusal = parts.find((part) => part.type === 'refusal')?.refusal
  const tokens = tokensOf(texts.flatMap(({ logprobs }) => logprobs ?? []))
  const cut = response?.incomplete_details?.reason
  return {
    text: texts.map(({ text }) => text).join(''),
    ...(tokens ? { tokens } : {}),
    usage: {
      inputTokens: response?.usage?.input_tokens ?? 0,
      outputTokens: response?.usage?.output_tokens ?? 0
    },
    finishReason:
      refusal !== undefined || cut === 'content_filter'
        ? 'refusal'
        : cut === 'max_output_tokens'
          ? 'length'
          : response?.status === 'completed'
            ? 'stop'
            : 'other',
    ...(refusal === undefined ? {} : { refusal })
  }
}
