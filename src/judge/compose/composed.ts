/** What judges made of judges have in common: members on one scale, their counters as one. */
import { AdjudgeError } from '../../errors.js'
import { GroupJudge } from '../groupJudge.js'
import { emptyMetrics } from '../metrics.js'
import { sumCosts, type Costs } from '../modes/merge.js'
import type { Judge, JudgeInput, JudgeMetrics, MemberVerdict, Scale, StageReason, Verdict } from '../types.js'

export abstract class ComposedJudge extends GroupJudge {
  readonly together: boolean
  readonly scale: Scale
  private closeMembers: () => Promise<void> = () => Promise.resolve()
  private readonly given = { verdicts: 0, unscored: 0, cached: 0 }

  constructor(
    readonly name: string,
    protected readonly members: readonly Judge[],
    scale: Scale | undefined
  ) {
    super()
    this.together = members.some((member) => member.together)
    this.scale = scaleOf(members, scale)
  }

  override get window(): number | undefined {
    const windows = this.members.flatMap(({ window }) => window ?? [])
    return windows.length > 0 ? Math.max(...windows) : undefined
  }

  /** The members' counters summed; verdicts are this judge's own. */
  get metrics(): JudgeMetrics {
    const sum = emptyMetrics()
    for (const { metrics } of this.members) {
      for (const [name, value] of Object.entries(metrics)) {
        if (typeof value === 'number') sum[name as 'calls'] += value
      }
    }
    return { ...sum, ...this.given }
  }

  override async close(): Promise<void> {
    await super.close()
    await this.closeMembers()
  }

  /** What is closed with this judge. */
  owns(close: () => Promise<void>): void {
    this.closeMembers = close
  }

  /** Linear, from the member's scale; one whose scale is unknown is taken to use this one. */
  protected scaled(member: Judge, score: number): number {
    const { low, high } = this.scale
    const own = member.scale ?? this.scale
    if (own.low === low && own.high === high) return score
    return low + ((score - own.low) / (own.high - own.low)) * (high - low)
  }

  protected memberVerdict(member: Judge, verdict: Verdict, because?: StageReason): MemberVerdict {
    const { id: _, ...rest } = verdict
    const scaled = verdict.score === null ? null : this.scaled(member, verdict.score)
    return { name: member.name, scaled, ...(because === undefined ? {} : { because }), ...rest }
  }

  /** Counts a verdict that goes out, and gives it its input's id. */
  protected out(verdict: Verdict, { id }: JudgeInput): Verdict {
    this.given.verdicts++
    if (verdict.score === null) this.given.unscored++
    else if (verdict.flags.includes('cached')) this.given.cached++
    return id === undefined ? verdict : { ...verdict, id }
  }
}

/** As given, or that of the first member with one. */
function scaleOf(members: readonly Judge[], scale: Scale | undefined): Scale {
  const found = scale ?? members.find((member) => member.scale)?.scale
  if (!found) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      'judge: no member tells its scale; expected `scale`, for example scale: { low: 0, high: 1 }'
    )
  }
  if (!(found.low < found.high)) {
    throw new AdjudgeError('JUDGE_INVALID', `judge: scale is ${found.low} to ${found.high}; expected low below high`)
  }
  return { low: found.low, high: found.high }
}

/** A verdict of one of these stops what is made of it: it is a pause of the run, not a member's failure. */
export const stopsAll = ({ reason }: Pick<Verdict, 'reason'>): boolean => reason === 'budget' || reason === 'cancelled'

/** As `sumCosts`, of members that were asked one after the other. */
export function sumStages(stages: readonly Costs[]): Costs {
  return { ...sumCosts(stages), latency: stages.reduce((sum, { latency }) => sum + latency, 0) }
}
