/** What servers say about their limits: `x-ratelimit-*` (OpenAI and its kin) and `anthropic-ratelimit-*`. */
import type { ReplyHeaders } from '../providers/provider.js'

/** How much is left of one limit, and when all of it will be back. */
export interface Allowance {
  limit?: number
  remaining: number
  /** Milliseconds. */
  reset?: number
}

export interface Allowances {
  requests?: Allowance
  tokens?: Allowance
}

/** `now`: the date in milliseconds, for replies without a `date` of their own. */
export function allowancesOf(headers: ReplyHeaders, now = Date.now()): Allowances {
  const result: Allowances = {}
  for (const kind of ['requests', 'tokens'] as const) {
    const openai = (part: string): string | null => headers.get(`x-ratelimit-${part}-${kind}`)
    const anthropic = (part: string): string | null => headers.get(`anthropic-ratelimit-${kind}-${part}`)
    const found =
      allowance(openai, durationOf) ?? allowance(anthropic, (text) => untilDate(text, dateOf(headers) ?? now))
    if (found) result[kind] = found
  }
  return result
}

function allowance(
  header: (part: string) => string | null,
  resetOf: (text: string) => number | undefined
): Allowance | undefined {
  const remaining = numberOf(header('remaining'))
  if (remaining === undefined) return undefined
  const limit = numberOf(header('limit'))
  const text = header('reset')
  const reset = text === null ? undefined : resetOf(text)
  return { remaining, ...(limit === undefined ? {} : { limit }), ...(reset === undefined ? {} : { reset }) }
}

function numberOf(text: string | null): number | undefined {
  if (text === null || text.trim() === '') return undefined
  const value = Number(text)
  return value >= 0 && Number.isFinite(value) ? value : undefined
}

const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `1s`, `6m0s`, `120ms`, `2m59.56s`; a bare number is seconds. Milliseconds. */
export function durationOf(text: string): number | undefined {
  const value = text.trim()
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(value)) return undefined
  let sum = 0
  for (const [, number, unit] of value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) sum += Number(number) * units[unit!]!
  return sum
}

function untilDate(text: string, now: number): number | undefined {
  const date = Date.parse(text)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** The server's own clock at its reply: a date in a header is measured against it, not against this machine's. */
export function dateOf(headers: ReplyHeaders): number | undefined {
  const date = Date.parse(headers.get('date') ?? '')
  return Number.isNaN(date) ? undefined : date
}
