/** OpenAI, or any server that is given as its address: chat completions, responses or decisions. */
import { chatFormat, openaiDialect } from './openai/chat.js'
import { decisionsFormat } from './openai/decisions.js'
import { responsesFormat } from './openai/responses.js'
import { apiKeyOf, serverOf, type ProviderOptions } from './shared.js'
import type { WireFormat } from './wire.js'

export function openaiFormat(options: ProviderOptions): WireFormat {
  const server = serverOf(options, 'OPENAI_BASE_URL')
  const key = apiKeyOf(options, 'OPENAI_API_KEY', server !== undefined)
  const { OPENAI_ORG_ID: organisation, OPENAI_PROJECT_ID: project } = process.env
  const wire = {
    name: 'openai',
    model: options.model,
    baseURL: server ?? 'https://api.openai.com/v1',
    ownServer: server !== undefined,
    headers: {
      ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      ...(organisation ? { 'openai-organization': organisation } : {}),
      ...(project ? { 'openai-project': project } : {})
    },
    secrets: key === undefined ? [] : [key],
    ...(options.extraBody ? { extraBody: options.extraBody } : {})
  }
  if (options.api === 'responses') return responsesFormat({ ...wire, name: 'openai responses' })
  if (options.api === 'decisions') return decisionsFormat({ ...wire, name: 'openai decisions' })
  return chatFormat({
    ...wire,
    dialect: server === undefined ? openaiDialect : { ...openaiDialect, limit: 'max_tokens' }
  })
}
