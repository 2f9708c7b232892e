/** Which failures are worth another try, after how long, and until when. */
import type { ReplyHeaders } from './providers/provider.js'
import { dateOf } from './schedule/headers.js'
import type { UnscoredReason } from './types.js'

export interface Failure {
  /** `connection`: the server is down or starting, retried until the deadline; `retry`: counted; `fatal`: no use. */
  kind: 'connection' | 'retry' | 'fatal'
  reason: UnscoredReason
  detail: string
  /** Milliseconds that the server asked for. */
  retryAfter?: number
  /** The HTTP status and headers, where the server answered. */
  status?: number
  headers?: ReplyHeaders
}

const connectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT'
])

/** A reply that came and cannot be used. */
const brokenCodes = new Set(['REPLY_TOO_LARGE', 'REPLY_UNREADABLE'])

/** A failed call's kind, from the error that the provider's client threw. */
export function classify(error: unknown, timedOut: boolean, timeout: number): Failure {
  if (timedOut) return { kind: 'retry', reason: 'timeout', detail: `no reply within ${timeout} ms` }
  const status = statusOf(error)
  const detail = messageOf(error)
  if (status !== undefined) {
    const headers = headersOf(error)
    const retryAfter = retryAfterOf(headers)
    return {
      ...verdictOn(status, headers, detail),
      detail,
      status,
      ...(headers ? { headers } : {}),
      ...(retryAfter === undefined ? {} : { retryAfter })
    }
  }
  const code = codeOf(error)
  if (code === 'ETIMEDOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') {
    return { kind: 'retry', reason: 'timeout', detail }
  }
  if (
    (code && connectionCodes.has(code)) ||
    /fetch failed|connection error|terminated|socket|premature close/i.test(detail)
  ) {
    return { kind: 'connection', reason: 'provider_error', detail }
  }
  if (code !== undefined && brokenCodes.has(code)) return { kind: 'retry', reason: 'provider_error', detail }
  // A body that is not JSON: a proxy's page, or a reply cut on its way.
  if (error instanceof SyntaxError) {
    return { kind: 'retry', reason: 'provider_error', detail: `the server's reply is not JSON (${detail})` }
  }
  return { kind: 'fatal', reason: 'provider_error', detail }
}

function verdictOn(
  status: number,
  headers: ReplyHeaders | undefined,
  detail: string
): Pick<Failure, 'kind' | 'reason'> {
  const reason = status === 429 ? 'rate_limited' : 'provider_error'
  if (headers?.get('x-should-retry') === 'false') return { kind: 'fatal', reason: 'provider_error' }
  // Money that is spent does not come back by waiting.
  if (status === 429 && /insufficient_quota|billing/i.test(detail)) return { kind: 'fatal', reason }
  if (status === 502 || status === 503 || status === 504) return { kind: 'connection', reason }
  const again = status === 408 || status === 409 || status === 425 || status === 429 || status >= 500
  return { kind: again ? 'retry' : 'fatal', reason }
}

/** Full jitter (a random share of an exponential ceiling), never before the server's own time. Milliseconds. */
export function backOff(failure: Failure, attempt: number, random: () => number = Math.random): number {
  const cap = failure.kind === 'connection' ? 5_000 : 30_000
  const jitter = random() * Math.min(cap, 500 * 2 ** Math.min(attempt - 1, 16))
  return failure.retryAfter === undefined ? Math.max(50, jitter) : failure.retryAfter + random() * 250
}

/** `retry-after-ms`, or `retry-after` in seconds or as a date (by the server's own clock, where it tells it). */
export function retryAfterOf(headers: ReplyHeaders | undefined, now = Date.now()): number | undefined {
  if (!headers) return undefined
  const milliseconds = Number(headers.get('retry-after-ms') ?? NaN)
  if (milliseconds >= 0) return milliseconds
  const value = headers.get('retry-after')
  if (value === null || value.trim() === '') return undefined
  const seconds = Number(value)
  if (seconds >= 0) return seconds * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - (dateOf(headers) ?? now))
}

interface ErrorShape {
  status?: unknown
  status_code?: unknown
  headers?: unknown
  message?: unknown
  code?: unknown
  cause?: unknown
}

function statusOf(error: unknown): number | undefined {
  const { status, status_code: snake } = (error ?? {}) as ErrorShape
  return typeof status === 'number' ? status : typeof snake === 'number' ? snake : undefined
}

function headersOf(error: unknown): ReplyHeaders | undefined {
  const headers = ((error ?? {}) as ErrorShape).headers
  return typeof (headers as Partial<ReplyHeaders> | undefined)?.get === 'function'
    ? (headers as ReplyHeaders)
    : undefined
}

function codeOf(error: unknown): string | undefined {
  for (let depth = 0, at = error; depth < 5 && at; depth++, at = (at as ErrorShape).cause) {
    const code = (at as ErrorShape).code
    if (typeof code === 'string') return code
  }
  return undefined
}

/** The error's message with its innermost cause: "fetch failed" alone helps nobody. */
export function messageOf(error: unknown): string {
  const messages: string[] = []
  for (let depth = 0, at = error; depth < 5 && at; depth++, at = (at as ErrorShape).cause) {
    const message = (at as ErrorShape).message
    const code = (at as ErrorShape).code
    const text = typeof message === 'string' && message !== '' ? message : typeof code === 'string' ? code : ''
    if (text !== '' && !messages.some((other) => other.includes(text))) messages.push(text)
  }
  return (messages.join(': ') || String(error)).slice(0, 500)
}
