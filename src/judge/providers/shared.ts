/** What the providers have in common: keys, limits, and features that a server turns out not to have. */
import { createHash } from 'node:crypto'
import { AdjudgeError } from '../../errors.js'
import { messageOf } from '../retry.js'

export interface ProviderOptions {
  model: string
  baseURL?: string
  apiKey?: string
}

/** Names server and key without telling the key. */
export function limitKeyOf(provider: string, baseURL: string | undefined, apiKey: string | undefined): string {
  const hash = createHash('sha256')
    .update(apiKey ?? '')
    .digest('hex')
    .slice(0, 8)
  return `${provider} ${baseURL ?? 'default'} ${hash}`
}

/** The key from the options or the environment. A server of one's own needs none. */
export function apiKeyOf(options: ProviderOptions, variable: string): string {
  const key = options.apiKey ?? process.env[variable]
  if (key) return key
  if (options.baseURL) return 'none'
  throw new AdjudgeError(
    'JUDGE_INVALID',
    `judge: no key for model ${options.model}; set the environment variable ${variable}, or baseURL for a server of your own`
  )
}

/** Imports a client package; says what to install where it is absent. */
export async function importClient<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new AdjudgeError('JUDGE_INVALID', `judge: package ${name} cannot be loaded; run: npm install ${name}`, {
      cause
    })
  }
}

/**
 * Optional parts of a request. A server that refuses one (an error that names it) is asked again without it, and never
 * with it again.
 */
export class Features<Name extends string> {
  private readonly off = new Set<Name>()
  /** `patterns`: what a refusal says; the first that matches and is still on is turned off. */
  constructor(private readonly patterns: Record<Name, RegExp>) {}

  has(name: Name): boolean {
    return !this.off.has(name)
  }

  /** Calls until it works or fails for another reason. */
  async negotiate<T>(call: () => Promise<T>, bodyOf: (error: unknown) => string): Promise<T> {
    for (;;) {
      const before = this.off.size
      try {
        return await call()
      } catch (error) {
        const status = (error as { status?: unknown; status_code?: unknown } | null)?.status
        const code = typeof status === 'number' ? status : (error as { status_code?: unknown } | null)?.status_code
        const refusal = code === 400 || code === 422 || code === 500 || code === 501
        if (!refusal) throw error
        const text = `${messageOf(error)} ${bodyOf(error)}`
        const name = (Object.keys(this.patterns) as Name[]).find(
          (key) => this.has(key) && this.patterns[key].test(text)
        )
        if (name !== undefined) this.off.add(name)
        // A sibling call may have turned the same feature off meanwhile: then this one is worth a repeat as well.
        else if (this.off.size === before) throw error
      }
    }
  }
}
