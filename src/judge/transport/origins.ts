/** One pool of kept-alive connections per server, shared by the judges of the process that have the same concurrency. */
import { EnvHttpProxyAgent, Pool, type Dispatcher } from 'undici'

interface Origin {
  dispatcher: Dispatcher
  users: number
}

const origins = new Map<string, Origin>()

export interface OpenOrigin {
  dispatcher: Dispatcher
  close(): Promise<void>
}

/** The last user's `close` ends what is still under way. */
export function openOrigin(origin: string, connections: number): OpenOrigin {
  const name = `${connections} ${origin}`
  let entry = origins.get(name)
  if (!entry) origins.set(name, (entry = { dispatcher: dispatcherFor(origin, connections), users: 0 }))
  entry.users++
  const { dispatcher } = entry
  let open = true
  return {
    dispatcher,
    close: async () => {
      if (!open) return
      open = false
      if (--entry.users > 0) return
      origins.delete(name)
      await dispatcher.destroy()
    }
  }
}

function dispatcherFor(origin: string, connections: number): Dispatcher {
  // The caller's signal ends a call, nothing else. A pool without a bound opens a second connection for each call that
  // follows closely on another. Idle connections are kept for 4 s (undici's default): servers close them from 5 s on.
  const limits = { connections, headersTimeout: 0, bodyTimeout: 0, pipelining: 1 }
  return hasProxy() && !isLoopback(new URL(origin).hostname) ? new EnvHttpProxyAgent(limits) : new Pool(origin, limits)
}

const hasProxy = (): boolean =>
  ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY'].some((name) => Boolean(process.env[name]))

/** No proxy can reach what only this machine sees. */
const isLoopback = (host: string): boolean => /^(localhost|127(\.\d+){3}|\[::1\])$/.test(host)
