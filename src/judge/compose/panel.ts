/** Several judges, or several votes of one: all are asked, and their scores become one (panels: arXiv 2404.18796). */
import { sumCosts } from '../modes/merge.js'
import type { Comparison, Judge, JudgeInput, MemberVerdict, ScoreOptions, Verdict } from '../types.js'
import { aggregate, type Aggregate } from './aggregate.js'
import { ComposedJudge, stopsAll } from './composed.js'
import type { PanelSettings } from './options.js'

export class Panel extends ComposedJudge {
  private readonly kind: Aggregate
  private readonly weights: readonly number[]
  private readonly quorum: number

  constructor(name: string, members: readonly Judge[], settings: PanelSettings) {
    super(name, members, settings.scale)
    this.kind = settings.aggregate ?? 'mean'
    this.weights = settings.weights ?? members.map(() => 1)
    this.quorum = settings.quorum ?? Math.floor(members.length / 2) + 1
  }

  async scoreGroup(inputs: readonly JudgeInput[], options?: ScoreOptions): Promise<Verdict[]> {
    const columns = await Promise.all(this.members.map((member) => member.scoreGroup(inputs, options)))
    return inputs.map((input, index) =>
      this.out(this.join(this.members.map((member, place) => this.memberVerdict(member, columns[place][index]))), input)
    )
  }

  override async compare(first: JudgeInput, second: JudgeInput, options?: ScoreOptions): Promise<Comparison> {
    const compared = await Promise.all(this.members.map((member) => member.compare(first, second, options)))
    const costs = sumCosts(compared)
    const opinions = compared.flatMap(({ preference }, place) =>
      preference === null ? [] : [{ score: preference, weight: this.weights[place] }]
    )
    const failure = this.failureOf(
      compared.map((one, place) => ({ ...one, name: this.members[place].name, scored: one.preference !== null }))
    )
    if (failure) return { preference: null, winner: null, ...failure, ...costs }
    // A majority is one of winners: a preference of 0.6 is a vote for the first.
    const votes =
      this.kind === 'majority'
        ? opinions.map((one) => ({ ...one, score: (Math.sign(one.score - 0.5) + 1) / 2 }))
        : opinions
    const { score } = aggregate(this.kind === 'majority' ? 'mean' : this.kind, votes, { low: 0, high: 1 })
    return { preference: score, winner: score > 0.5 ? 'first' : score < 0.5 ? 'second' : 'tie', ...costs }
  }

  private join(members: MemberVerdict[]): Verdict {
    const costs = sumCosts(members)
    const failure = this.failureOf(members.map((one) => ({ ...one, scored: one.scaled !== null })))
    if (failure) return { score: null, ...failure, members, ...costs }
    const opinions = members.flatMap(({ scaled, label }, place) =>
      scaled === null ? [] : [{ score: scaled, weight: this.weights[place], ...(label === undefined ? {} : { label }) }]
    )
    return { ...aggregate(this.kind, opinions, this.scale), members, ...costs }
  }

  /** Why too few members are scored, if so. */
  private failureOf(
    members: readonly (Pick<Verdict, 'reason' | 'detail'> & { name: string; scored: boolean })[]
  ): Pick<Verdict, 'reason' | 'detail'> | undefined {
    const lost = members.filter(({ scored }) => !scored)
    const stopped = lost.find(stopsAll)
    if (!stopped && members.length - lost.length >= this.quorum) return undefined
    const told = stopped ?? lost[0]
    const { reason = 'provider_error' as const, detail } = told
    const counted = `${lost.length} of ${members.length} members are unscored (quorum ${this.quorum})`
    return { reason, detail: `${counted}; ${told.name}: ${detail ?? reason}` }
  }
}
