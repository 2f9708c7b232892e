/** Anthropic's messages: structured output where the model has it, a forced tool where not. It returns no log-probs. */
import type {
  ContentBlockParam,
  Message as AnthropicMessage,
  MessageCreateParamsNonStreaming,
  Tool
} from '@anthropic-ai/sdk/resources/messages'
import { textOf } from '../content.js'
import type { ContentPart, JudgeMessage } from '../types.js'
import { Features } from './features.js'
import { dataOf } from './images.js'
import type { ProviderReply, ProviderRequest } from './provider.js'
import { apiKeyOf, serverOf, type ProviderOptions } from './shared.js'
import type { WireFormat } from './wire.js'

export function anthropicFormat(options: ProviderOptions): WireFormat {
  const server = serverOf(options, 'ANTHROPIC_BASE_URL')
  const key = apiKeyOf(options, 'ANTHROPIC_API_KEY', server !== undefined)
  const features = new Features({
    format: /output_config|output_format|json_schema|structured output/i,
    tool: /tool/i,
    temperature: /temperature/i
  })
  const bodyFor = (request: ProviderRequest): MessageCreateParamsNonStreaming => {
    const system = request.messages.filter(({ role }) => role === 'system').map(({ content }) => textOf(content))
    return {
      model: options.model,
      max_tokens: request.maxTokens,
      messages: request.messages
        .filter(({ role }) => role !== 'system')
        .map(({ role, content }, index) => ({
          role: role === 'assistant' ? 'assistant' : 'user',
          content: index === 0 ? markedOf(content, request) : blocksOf(content)
        })),
      ...(system.length > 0 ? { system: system.join('\n\n') } : {}),
      // Newer models do not take it any more and say so.
      ...(features.has('temperature') ? { temperature: request.temperature } : {}),
      ...(features.has('format')
        ? { output_config: { format: { type: 'json_schema', schema: request.schema } } }
        : features.has('tool')
          ? {
              tools: [
                {
                  name: 'verdict',
                  description: 'Gives the verdict.',
                  input_schema: request.schema as Tool.InputSchema
                }
              ],
              tool_choice: { type: 'tool', name: 'verdict' }
            }
          : {})
    }
  }
  return {
    name: 'anthropic',
    baseURL: server ?? 'https://api.anthropic.com',
    ownServer: server !== undefined,
    headers: {
      'anthropic-version': '2026-10-21',
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` })
    },
    secrets: key === undefined ? [] : [key],
    features,
    request: (request) => ({
      path: '/v1/messages',
      body: JSON.stringify({ ...bodyFor(request), ...options.extraBody })
    }),
    read: (reply) => readMessage(reply as Partial<AnthropicMessage> | null)
  }
}

/** Shorter beginnings are not kept, whatever is asked: the least is 1,024 tokens and more, by model. */
const leastKept = 4096

/** The first message, with a mark where that ends which all requests of the judge have in common: it is read at a tenth. */
function markedOf(content: JudgeMessage['content'], { constant }: ProviderRequest): string | ContentBlockParam[] {
  const beginning = constant?.at(-1)?.content
  const length = constant?.reduce((sum, message) => sum + textOf(message.content).length, 0) ?? 0
  const [first, ...rest]: ContentPart[] = typeof content === 'string' ? [{ type: 'text', text: content }] : content
  if (typeof beginning !== 'string' || length < leastKept || first?.type !== 'text') return blocksOf(content)
  if (!first.text.startsWith(beginning) || first.text.length === beginning.length) return blocksOf(content)
  return [
    { type: 'text', text: beginning, cache_control: { type: 'ephemeral' } },
    ...[{ type: 'text' as const, text: first.text.slice(beginning.length) }, ...rest].map(blockOf)
  ]
}

function blocksOf(content: JudgeMessage['content']): string | ContentBlockParam[] {
  return typeof content === 'string' ? content : content.map(blockOf)
}

function blockOf(part: ContentPart): ContentBlockParam {
  if (part.type === 'text') return { type: 'text', text: part.text }
  const { url } = part.image_url
  const inline = dataOf(url)
  return {
    type: 'image',
    source: inline
      ? { type: 'base64', media_type: inline.type as 'image/png', data: inline.data }
      : { type: 'url', url }
  }
}

function readMessage(message: Partial<AnthropicMessage> | null): ProviderReply {
  const blocks = Array.isArray(message?.content) ? message.content : []
  const tool = blocks.find((block) => block.type === 'tool_use')
  const usage = message?.usage as Partial<AnthropicMessage['usage']> | undefined
  const stop = message?.stop_reason
  const explanation = message?.stop_details?.explanation
  return {
    text: tool
      ? JSON.stringify(tool.input)
      : blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join(''),
    usage: {
      inputTokens:
        (usage?.input_tokens ?? 0) + (usage?.cache_read_input_tokens ?? 0) + (usage?.cache_creation_input_tokens ?? 0),
      outputTokens: usage?.output_tokens ?? 0
    },
    finishReason:
      stop === 'refusal'
        ? 'refusal'
        : stop === 'max_tokens' || stop === 'model_context_window_exceeded'
          ? 'length'
          : stop === 'end_turn' || stop === 'tool_use'
            ? 'stop'
            : 'other',
    ...(stop === 'refusal' && typeof explanation === 'string' ? { refusal: explanation } : {})
  }
}
