/** Anthropic's messages: structured output where the model has it, a forced tool where not. It returns no log-probs. */
import type Anthropic from '@anthropic-ai/sdk'
import type { Message as AnthropicMessage, MessageCreateParamsNonStreaming } from '@anthropic-ai/sdk/resources/messages'
import type { Provider, ProviderReply, ProviderRequest } from './provider.js'
import { apiKeyOf, Features, importClient, limitKeyOf, type ProviderOptions } from './shared.js'

export async function anthropicProvider(options: ProviderOptions): Promise<Provider> {
  const apiKey = apiKeyOf(options, 'ANTHROPIC_API_KEY')
  const { Anthropic: Client } = await importClient('@anthropic-ai/sdk', () => import('@anthropic-ai/sdk'))
  const client: Anthropic = new Client({
    apiKey,
    maxRetries: 0,
    timeout: 24 * 60 * 60 * 1000,
    logLevel: 'off',
    ...(options.baseURL === undefined ? {} : { baseURL: options.baseURL })
  })
  const features = new Features({
    format: /output_config|output_format|json_schema|structured output/i,
    tool: /tool/i,
    temperature: /temperature/i
  })
  const bodyOf = (error: unknown): string => JSON.stringify((error as { error?: unknown } | null)?.error ?? '')

  const bodyFor = (request: ProviderRequest): MessageCreateParamsNonStreaming => {
    const system = request.messages.filter(({ role }) => role === 'system').map(({ content }) => content)
    return {
      model: options.model,
      max_tokens: request.maxTokens,
      messages: request.messages
        .filter(({ role }) => role !== 'system')
        .map(({ role, content }) => ({ role: role === 'assistant' ? 'assistant' : 'user', content })),
      ...(system.length > 0 ? { system: system.join('\n\n') } : {}),
      ...(features.has('temperature') ? { temperature: request.temperature } : {}),
      ...(features.has('format')
        ? { output_config: { format: { type: 'json_schema', schema: request.schema } } }
        : features.has('tool')
          ? {
              tools: [
                {
                  name: 'verdict',
                  description: 'Gives the verdict.',
                  input_schema: request.schema as Anthropic.Tool.InputSchema
                }
              ],
              tool_choice: { type: 'tool', name: 'verdict' }
            }
          : {})
    }
  }

  return {
    name: 'anthropic',
    limitKey: limitKeyOf('anthropic', options.baseURL, apiKey),
    call: (request) =>
      features.negotiate(
        async () => replyOf(await client.messages.create(bodyFor(request), { signal: request.signal })),
        bodyOf
      )
  }
}

function replyOf(message: AnthropicMessage): ProviderReply {
  const blocks = Array.isArray(message.content) ? message.content : []
  const tool = blocks.find((block) => block.type === 'tool_use')
  const text = tool
    ? JSON.stringify(tool.input)
    : blocks.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('')
  const usage = message.usage as Partial<AnthropicMessage['usage']> | undefined
  return {
    text,
    usage: {
      inputTokens:
        (usage?.input_tokens ?? 0) + (usage?.cache_read_input_tokens ?? 0) + (usage?.cache_creation_input_tokens ?? 0),
      outputTokens: usage?.output_tokens ?? 0
    },
    finishReason:
      message.stop_reason === 'refusal'
        ? 'refusal'
        : message.stop_reason === 'max_tokens'
          ? 'length'
          : message.stop_reason === 'end_turn' || message.stop_reason === 'tool_use'
            ? 'stop'
            : 'other'
  }
}
