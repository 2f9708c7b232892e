/** Whether a provider's server answers at all, before a run depends on it. Nothing is asked of a model. */
import type { CallOptions } from './options.js'
import { presetAddress } from './providers/openaiCompatible.js'
import { messageOf } from './retry.js'
import { HttpClient } from './transport/client.js'
import { HttpError } from './transport/errors.js'

export interface Reachable {
  reachable: boolean
  /** The address, and what it answered. */
  detail: string
  /** No answer in time: a server that is busy with another call may look like this. */
  timedOut?: boolean
}

const servers: Partial<Record<string, { base?: string; path: string; variable: string }>> = {
  openai: { base: 'https://api.openai.com/v1', path: '/models', variable: 'OPENAI_API_KEY' },
  anthropic: { base: 'https://api.anthropic.com', path: '/v1/models', variable: 'ANTHROPIC_API_KEY' },
  ollama: { base: 'http://127.0.0.1:11434', path: '/api/tags', variable: 'OLLAMA_API_KEY' },
  openai_compatible: { path: '/models', variable: '' }
}

/** Any HTTP answer counts, a refusal for want of a key included. Judges in process are always reachable. */
export async function probeProvider(
  options: Pick<CallOptions, 'provider' | 'baseURL' | 'preset'>,
  timeout = 5_000
): Promise<Reachable> {
  const server = servers[options.provider]
  const base = options.baseURL ?? server?.base ?? presetAddress(options.preset)
  if (!server || base === undefined) return { reachable: true, detail: 'in process' }
  const url = base.replace(/\/+$/, '') + server.path
  const key = options.baseURL !== undefined || process.env[server.variable] ? '' : `, ${server.variable} is not set`
  const answered = (status: number): Reachable => ({ reachable: true, detail: `${url} answered ${status}${key}` })
  const client = new HttpClient({ baseURL: base })
  try {
    return answered((await client.send({ path: server.path, signal: AbortSignal.timeout(timeout) })).status)
  } catch (error) {
    if (error instanceof HttpError) return answered(error.status)
    const timedOut = (error as Error).name === 'TimeoutError'
    return { reachable: false, detail: `${url}: ${messageOf(error)}`, ...(timedOut ? { timedOut } : {}) }
  } finally {
    await client.close()
  }
}
