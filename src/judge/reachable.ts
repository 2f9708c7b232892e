/** Whether a provider's server answers at all, before a run depends on it. Nothing is asked of a model. */
import type { ProviderName } from './options.js'
import { messageOf } from './retry.js'

export interface Reachable {
  reachable: boolean
  /** The address, and what it answered. */
  detail: string
  /** No answer in time: a server that is busy with another call may look like this. */
  timedOut?: boolean
}

const servers: Partial<Record<ProviderName, { base: string; path: string; variable: string }>> = {
  openai: { base: 'https://api.openai.com/v1', path: '/models', variable: 'OPENAI_API_KEY' },
  anthropic: { base: 'https://api.anthropic.com', path: '/v1/models', variable: 'ANTHROPIC_API_KEY' },
  ollama: { base: 'http://127.0.0.1:11434', path: '/api/tags', variable: 'OLLAMA_API_KEY' }
}

/** Any HTTP answer counts, a refusal for want of a key included. Judges in process are always reachable. */
export async function probeProvider(
  options: { provider: ProviderName; baseURL?: string },
  timeout = 5_000
): Promise<Reachable> {
  const server = servers[options.provider]
  if (!server) return { reachable: true, detail: 'in process' }
  const url = (options.baseURL ?? server.base).replace(/\/+$/, '') + server.path
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeout) })
    await response.body?.cancel()
    const key = options.baseURL !== undefined || process.env[server.variable] ? '' : `, ${server.variable} is not set`
    return { reachable: true, detail: `${url} answered ${response.status}${key}` }
  } catch (error) {
    const timedOut = (error as Error).name === 'TimeoutError'
    return { reachable: false, detail: `${url}: ${messageOf(error)}`, ...(timedOut ? { timedOut } : {}) }
  }
}
