/**
 * Judges one after the other, the cheap ones first: the next is asked where one has no score or is unsure, where two are
 * far apart, and for a sample that is drawn by the input's content, never by timing.
 */
import { createHash } from 'node:crypto'
import { textOf } from '../content.js'
import type {
  Comparison,
  Judge,
  JudgeInput,
  JudgeMetrics,
  MemberVerdict,
  ScoreOptions,
  StageReason,
  Verdict
} from '../types.js'
import { ComposedJudge, stopsAll, sumStages } from './composed.js'
import { DriftWatch } from './drift.js'
import type { CascadeSettings, Escalate } from './options.js'

interface Stage<Result> {
  member: number
  because: StageReason
  results: Result[]
}

export class Cascade extends ComposedJudge {
  private readonly escalate: Escalate
  private readonly drift: DriftWatch

  constructor(name: string, members: readonly Judge[], settings: CascadeSettings) {
    super(name, members, settings.scale)
    this.escalate = settings.escalate ?? {}
    this.drift = new DriftWatch(name, this.escalate.leastAgreement ?? 0.75)
  }

  override get metrics(): JudgeMetrics {
    return { ...super.metrics, drift: this.drift.summary }
  }

  async scoreGroup(inputs: readonly JudgeInput[], options?: ScoreOptions): Promise<Verdict[]> {
    // Answers that are judged together go on together.
    if (this.together) return this.scoreUnit(inputs, options)
    return (await Promise.all(inputs.map((input) => this.scoreUnit([input], options)))).flat()
  }

  override async compare(first: JudgeInput, second: JudgeInput, options?: ScoreOptions): Promise<Comparison> {
    const stages = await this.run<Comparison>(
      [first, second],
      async (member) => [await member.compare(first, second, options)],
      ([one]) => (one.preference === null ? 'unscored' : one.flags.includes('swap_flip') ? 'confidence' : undefined),
      ([a], [b]) => a.winner !== b.winner
    )
    const last = decisive(stages, ({ preference }) => preference !== null)
    return { ...last[0], ...sumStages(stages.map(({ results }) => results[0])) }
  }

  private async scoreUnit(unit: readonly JudgeInput[], options: ScoreOptions | undefined): Promise<Verdict[]> {
    const { disagreement = Infinity } = this.escalate
    const stages = await this.run<MemberVerdict>(
      unit,
      async (member, because) =>
        (await member.scoreGroup(unit, options)).map((verdict) => this.memberVerdict(member, verdict, because)),
      (verdicts) => this.doubt(verdicts),
      (before, after) => before.some((one, index) => distance(one, after[index]) > disagreement)
    )
    this.watch(stages)
    const last = decisive(stages, ({ score }) => score !== null)
    return unit.map((input, index) => {
      const { name: _, because: __, scaled, members: ___, ...verdict } = last[index]
      const members = stages.map(({ results }) => results[index])
      // A distribution over another scale's scores would not be one over this scale's.
      if (scaled !== verdict.score) delete verdict.distribution
      return this.out({ ...verdict, score: scaled, members, ...sumStages(members) }, input)
    })
  }

  private async run<Result extends Pick<Verdict, 'reason'>>(
    unit: readonly JudgeInput[],
    ask: (member: Judge, because: StageReason) => Promise<Result[]>,
    doubt: (results: Result[]) => StageReason | undefined,
    differ: (before: Result[], after: Result[]) => boolean
  ): Promise<Stage<Result>[]> {
    const stages: Stage<Result>[] = []
    const end = this.members.length - 1
    let next: Pick<Stage<Result>, 'member' | 'because'> | undefined = { member: 0, because: 'first' }
    while (next) {
      const { member, because }: Pick<Stage<Result>, 'member' | 'because'> = next
      const results = await ask(this.members[member], because)
      const before = stages.at(-1)?.results
      stages.push({ member, because, results })
      if (member === end || results.some(stopsAll)) break
      const unsure = doubt(results)
      const both = this.escalate.disagreement !== undefined
      if (unsure) next = { member: member + 1, because: unsure }
      else if (both && before && differ(before, results)) next = { member: member + 1, because: 'disagreement' }
      else if (both && !before) next = { member: 1, because: 'second' }
      else next = this.audited(unit[0]) ? { member: end, because: 'audit' } : undefined
    }
    return stages
  }

  private doubt(verdicts: readonly MemberVerdict[]): StageReason | undefined {
    for (const verdict of verdicts) {
      const reason = this.doubtOf(verdict)
      if (reason) return reason
    }
    return undefined
  }

  private doubtOf(verdict: MemberVerdict): StageReason | undefined {
    if (verdict.score === null) return 'unscored'
    const { spread, mass, confidence } = this.escalate
    const { distribution } = verdict
    if (spread !== undefined) {
      const own = verdict.spread ?? deviation(distribution)
      const member = this.members.find(({ name }) => name === verdict.name)!
      const factor = Math.abs(this.scaled(member, 1) - this.scaled(member, 0))
      if (own !== undefined && own * factor > spread) return 'spread'
    }
    if (mass !== undefined && verdict.mass !== undefined && verdict.mass < mass) return 'mass'
    if (confidence !== undefined && distribution && Math.max(...Object.values(distribution)) < confidence) {
      return 'confidence'
    }
    return undefined
  }

  private audited(input: JudgeInput): boolean {
    const { audit = 0 } = this.escalate
    return audit > 0 && shareOf('audit', input) < audit
  }

  /** Pairs that were not chosen for being hard say how the members agree. */
  private watch(stages: readonly Stage<MemberVerdict>[]): void {
    for (const [index, { because, results }] of stages.entries()) {
      if (because !== 'audit' && because !== 'second') continue
      for (const [place, before] of stages[index - 1].results.entries()) {
        const after = results[place]
        if (before.scaled === null || after.scaled === null) continue
        const { low, high } = this.scale
        this.drift.add(`${before.name} → ${after.name}`, 1 - Math.abs(before.scaled - after.scaled) / (high - low))
      }
    }
  }
}

/** The last stage's results; those before it, where the last was only asked to check them and could not say. */
function decisive<Result extends Pick<Verdict, 'reason'>>(
  stages: readonly Stage<Result>[],
  scored: (result: Result) => boolean
): Result[] {
  const { because, results } = stages.at(-1)!
  if (because !== 'audit') return results
  const before = stages.at(-2)!.results
  return results.map((result, index) => (scored(result) || stopsAll(result) ? result : before[index]))
}

const distance = (a: MemberVerdict, b: MemberVerdict): number =>
  a.scaled === null || b.scaled === null ? 0 : Math.abs(a.scaled - b.scaled)

/** Standard deviation of a distribution over scores; undefined for one over labels. */
function deviation(distribution: Record<string, number> | undefined): number | undefined {
  const entries = Object.entries(distribution ?? {}).map(([score, share]) => [Number(score), share] as const)
  if (entries.length === 0 || entries.some(([score]) => Number.isNaN(score))) return undefined
  const mean = entries.reduce((sum, [score, share]) => sum + share * score, 0)
  return Math.sqrt(entries.reduce((sum, [score, share]) => sum + share * (score - mean) ** 2, 0))
}

/** A number from 0 to 1 that depends on prompt and answer only. */
export function shareOf(purpose: string, { messages, completion }: JudgeInput): number {
  const hash = createHash('sha256').update(`${purpose}\n`)
  for (const { role, content } of messages) {
    const text = textOf(content)
    hash.update(`${role} ${text.length}:`).update(text)
  }
  return hash.update(completion).digest().readUInt32BE(0) / 2 ** 32
}
