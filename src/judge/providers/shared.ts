/** What every provider is made from, and its key. */
import { AdjudgeError } from '../../errors.js'
import { secretNamed } from '../secrets.js'

export interface ProviderOptions {
  model: string
  baseURL?: string
  apiKey?: string
  /** Calls in flight at once. */
  concurrency?: number
  /** OpenAI: which of its interfaces is asked. */
  api?: OpenAIApi
  /** `openai_compatible`: whose server it is. */
  preset?: string
  /** Azure's `api-version`. */
  apiVersion?: string
  /** Ollama: how long the model stays loaded, e.g. `30m`, or seconds; negative: for ever. */
  keepAlive?: string | number
  /** `http`: how the reward server is asked. */
  shape?: string
  /** Fields added to each request's body as they are, e.g. `reasoning_effort`. */
  extraBody?: Record<string, unknown>
}

export type OpenAIApi = 'chat' | 'responses' | 'decisions'

export const openaiApis: readonly OpenAIApi[] = ['chat', 'responses', 'decisions']

/** The key from the options, the environment or the secrets file; a server of one's own needs none. */
export function apiKeyOf(options: ProviderOptions, variable: string, ownServer: boolean): string | undefined {
  const key = (options.apiKey?.trim() || undefined) ?? secretNamed(variable)
  if (key !== undefined || ownServer) return key
  throw new AdjudgeError(
    'JUDGE_INVALID',
    `judge: no key for model ${options.model}; set the environment variable ${variable}, or baseURL for a server of your own`
  )
}

/** An address from the options or the environment; undefined: the provider's own. */
export const serverOf = (options: ProviderOptions, variable: string): string | undefined =>
  (options.baseURL ?? process.env[variable]?.trim()) || undefined
