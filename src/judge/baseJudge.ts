/** What every judge can do once it can score one answer. */
import { scoreInOrder } from './stream.js'
import type {
  Comparison,
  Judge,
  JudgeInput,
  JudgeMetrics,
  RankOptions,
  Ranking,
  ScoreOptions,
  Verdict
} from './types.js'

/** Extend it to write a judge of your own: `scoreOne` is enough. */
export abstract class BaseJudge implements Judge {
  abstract readonly name: string
  abstract readonly metrics: JudgeMetrics
  abstract scoreOne(input: JudgeInput, options?: ScoreOptions): Promise<Verdict>

  get window(): number | undefined {
    return undefined
  }

  score(inputs: Iterable<JudgeInput> | AsyncIterable<JudgeInput>, options?: ScoreOptions): AsyncIterable<Verdict> {
    return scoreInOrder(inputs, (input) => this.scoreOne(input, options), this.window)
  }

  scoreAll(inputs: JudgeInput[], options?: ScoreOptions): Promise<Verdict[]> {
    return Promise.all(inputs.map((input) => this.scoreOne(input, options)))
  }

  scoreGroup(inputs: readonly JudgeInput[], options?: ScoreOptions): Promise<Verdict[]> {
    return this.scoreAll([...inputs], options)
  }

  /** By the two scores: a judge that sees one answer at a time has no order to prefer. */
  async compare(first: JudgeInput, second: JudgeInput, options?: ScoreOptions): Promise<Comparison> {
    const [a, b] = await this.scoreGroup([first, second], options)
    const costs = {
      usage: {
        inputTokens: a.usage.inputTokens + b.usage.inputTokens,
        outputTokens: a.usage.outputTokens + b.usage.outputTokens
      },
      cost: a.cost === null || b.cost === null ? null : a.cost + b.cost,
      latency: Math.max(a.latency, b.latency),
      attempts: a.attempts + b.attempts,
      flags: [...new Set([...a.flags, ...b.flags])]
    }
    if (a.score === null || b.score === null) {
      const { reason, detail } = a.score === null ? a : b
      return {
        preference: null,
        winner: null,
        ...(reason === undefined ? {} : { reason }),
        ...(detail === undefined ? {} : { detail }),
        ...costs
      }
    }
    const preference = a.score > b.score ? 1 : a.score < b.score ? 0 : 0.5
    return { preference, winner: preference === 1 ? 'first' : preference === 0 ? 'second' : 'tie', ...costs }
  }

  /** By the scores, which are the ratings. */
  async rank(inputs: readonly JudgeInput[], options?: RankOptions): Promise<Ranking> {
    const scores = (await this.scoreGroup(inputs, options)).map(({ score }) => score)
    return { order: bestFirst(scores), ratings: scores, standardErrors: scores.map(() => null), comparisons: [] }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Indices by falling value; null comes last, equal values keep their order. */
export const bestFirst = (values: readonly (number | null)[]): number[] =>
  values.map((_, index) => index).sort((a, b) => (values[b] ?? -Infinity) - (values[a] ?? -Infinity) || a - b)
