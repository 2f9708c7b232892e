/** Several verdicts as one, and one verdict's price over several answers. */
import type { JudgeInput, UnscoredReason, Usage, Verdict, VerdictFlag } from '../types.js'

export type Costs = Pick<Verdict, 'usage' | 'cost' | 'latency' | 'attempts' | 'flags'>

/** Sums what verdicts cost; they were asked for at the same time, so the latency is the longest. */
export function sumCosts(verdicts: readonly Costs[]): Costs {
  const usage: Usage = { inputTokens: 0, outputTokens: 0 }
  let cost: number | null = 0
  let latency = 0
  let attempts = 0
  const flags = new Set<VerdictFlag>()
  for (const verdict of verdicts) {
    usage.inputTokens += verdict.usage.inputTokens
    usage.outputTokens += verdict.usage.outputTokens
    cost = cost === null || verdict.cost === null ? null : cost + verdict.cost
    latency = Math.max(latency, verdict.latency)
    attempts += verdict.attempts
    for (const flag of verdict.flags) flags.add(flag)
  }
  // Only what was wholly known before is cached.
  if (!verdicts.every((verdict) => verdict.flags.includes('cached'))) flags.delete('cached')
  return { usage, cost, latency, attempts, flags: [...flags] }
}

/** What each of `count` answers bears of a common cost: the shares add up to the whole. */
export function shareCosts(costs: Costs, count: number, index: number): Costs {
  const share = (total: number): number =>
    Math.floor((total * (index + 1)) / count) - Math.floor((total * index) / count)
  return {
    usage: { inputTokens: share(costs.usage.inputTokens), outputTokens: share(costs.usage.outputTokens) },
    cost: costs.cost === null ? null : costs.cost / count,
    latency: costs.latency,
    attempts: share(costs.attempts),
    flags: costs.flags
  }
}

/** A verdict that was given up before anything was sent. */
export const notSent = (reason: UnscoredReason, detail: string): Verdict => ({ score: null, reason, detail, ...free() })

export const itemOf = ({ id }: JudgeInput): string => (id === undefined ? 'the item' : `item ${id}`)

export const free = (): Costs => ({
  usage: { inputTokens: 0, outputTokens: 0 },
  cost: 0,
  latency: 0,
  attempts: 0,
  flags: []
})
