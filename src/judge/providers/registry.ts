/** Providers by name: those built in, loaded when they are asked for, and those that users add. */
import { AdjudgeError } from '../../errors.js'
import type { Provider } from './provider.js'
import type { ProviderOptions } from './shared.js'
import { providerOver, type WireFormat } from './wire.js'

/**
 * Makes a provider from a judge's options. A provider either calls (`Provider`), or says what is sent over HTTP and what
 * a reply means (`WireFormat`) and leaves connections, errors, redirects and redaction of keys to adjudge.
 */
export type ProviderFactory = (options: ProviderOptions) => Provider | WireFormat | Promise<Provider | WireFormat>

const factories = new Map<string, ProviderFactory>([
  ['openai', async (options) => (await import('./openai.js')).openaiFormat(options)],
  ['anthropic', async (options) => (await import('./anthropic.js')).anthropicFormat(options)],
  ['ollama', async (options) => (await import('./ollama.js')).ollamaFormat(options)],
  ['openai_compatible', async (options) => (await import('./openaiCompatible.js')).openaiCompatibleFormat(options)],
  ['http', async (options) => (await import('./http/index.js')).httpRewardProvider(options)]
])

/** Names that are no chat provider and are made elsewhere. */
const reserved = ['native', 'onnx', 'function']

/**
 * Adds a provider for `createJudge({ provider: name, … })`. Throws JUDGE_INVALID on a name that is taken.
 *
 * ```ts
 * registerProvider('mine', ({ model, baseURL, apiKey }) => ({
 *   name: 'mine',
 *   baseURL: baseURL ?? 'http://127.0.0.1:9000',
 *   ownServer: true,
 *   headers: { 'x-key': apiKey ?? '' },
 *   secrets: apiKey ? [apiKey] : [],
 *   request: ({ messages, schema }) => ({ path: '/judge', body: JSON.stringify({ model, messages, schema }) }),
 *   read: (reply) => ({
 *     text: JSON.stringify(reply),
 *     usage: { inputTokens: 0, outputTokens: 0 },
 *     finishReason: 'stop'
 *   })
 * }))
 * ```
 */
export function registerProvider(name: string, factory: ProviderFactory): void {
  if (!/^[\w.-]+$/.test(name)) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `registerProvider: ${JSON.stringify(name)} is no name; expected letters, digits, _ . -`
    )
  }
  if (factories.has(name) || reserved.includes(name)) {
    throw new AdjudgeError('JUDGE_INVALID', `registerProvider: a provider named ${name} exists already`)
  }
  factories.set(name, factory)
}

/** All names that `createJudge` takes. */
export const providersKnown = (): string[] => [...factories.keys(), ...reserved]

/** The provider's format over HTTP; undefined where it calls by itself. */
export async function openFormat(name: string, options: ProviderOptions): Promise<WireFormat | undefined> {
  const made = await factories.get(name)?.(options)
  return made && 'request' in made ? made : undefined
}

export async function openProvider(name: string, options: ProviderOptions): Promise<Provider> {
  const factory = factories.get(name)
  if (!factory) throw new AdjudgeError('JUDGE_INVALID', `judge: provider ${name} has no server to call`)
  const made = await factory(options)
  return 'call' in made ? made : providerOver(made, options.concurrency)
}
