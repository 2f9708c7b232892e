/** The reward columns of a run: judges, graders and functions, each asked as a completion finishes. */
import { resolve } from 'node:path'
import { createGrader } from '../graders/index.js'
import {
  createJudge,
  judgeOptionsFrom,
  type Budget,
  type Judge,
  type JudgeInput,
  type JudgeSpec,
  type Ledger,
  type Verdict
} from '../judge/index.js'
import type { RewardConfig } from './schema.js'

export interface RewardColumn {
  readonly name: string
  readonly weight: number
  score(input: JudgeInput, signal?: AbortSignal): Promise<Verdict>
  /** Counters, where a judge stands behind the column. */
  readonly judge?: Judge
  close(): Promise<void>
}

/** One completion's verdicts, by column, and what the trainer makes of them. */
export interface Rewarded {
  verdicts: Verdict[]
  /** Weighted sum of the columns; null where a column that counts has no score. */
  reward: number | null
}

/** The judges' budget is spent: the step at hand is left undone. */
export class BudgetPause extends Error {}

/**
 * All verdicts of a rollout, [groups][completions]. Throws what scoring threw, and BudgetPause, when nothing is in
 * flight any more.
 */
export async function allJudged(scoring: readonly Promise<Rewarded>[][]): Promise<Rewarded[][]> {
  await Promise.allSettled(scoring.flat())
  const rewarded = await Promise.all(scoring.map((group) => Promise.all(group)))
  const paused = rewarded.flat().flatMap(({ verdicts }) => verdicts.filter(({ reason }) => reason === 'budget'))
  if (paused.length > 0) throw new BudgetPause(paused[0]!.detail ?? 'the budget is spent')
  return rewarded
}

export class Rewards {
  private constructor(readonly columns: readonly RewardColumn[]) {}

  /** `folder` is where the configuration's relative paths start. Throws what judges and graders throw. */
  static async open(
    configs: readonly RewardConfig[],
    folder: string,
    ledger: Ledger,
    budget?: Budget
  ): Promise<Rewards> {
    const columns: RewardColumn[] = []
    try {
      const shared = { ledger, ...(budget ? { budget } : {}) }
      for (const config of configs) columns.push(await openColumn(config, folder, shared))
      return new Rewards(columns)
    } catch (error) {
      await Promise.all(columns.map((column) => column.close()))
      throw error
    }
  }

  get weights(): number[] {
    return this.columns.map(({ weight }) => weight)
  }

  async score(input: JudgeInput, signal?: AbortSignal): Promise<Rewarded> {
    const verdicts = await Promise.all(this.columns.map((column) => column.score(input, signal)))
    return { verdicts, reward: this.combine(verdicts.map(({ score }) => score)) }
  }

  /** A column of weight 0 is only watched: its failures leave the reward as it is. */
  combine(scores: readonly (number | null)[]): number | null {
    let sum = 0
    for (const [index, { weight }] of this.columns.entries()) {
      if (weight === 0) continue
      const score = scores[index] ?? null
      if (score === null) return null
      sum += weight * score
    }
    return sum
  }

  /** Since the run began in this process: the judges' calls, tokens and US dollars, and what waits for them. */
  get spent(): { calls: number; tokens: number; cost: number; waiting: number } {
    const total = { calls: 0, tokens: 0, cost: 0, waiting: 0 }
    for (const { judge } of this.columns) {
      if (!judge) continue
      const { calls, inputTokens, outputTokens, cost, inFlight, queued } = judge.metrics
      total.calls += calls
      total.tokens += inputTokens + outputTokens
      total.cost += cost
      total.waiting += inFlight + queued
    }
    return total
  }

  async close(): Promise<void> {
    await Promise.all(this.columns.map((column) => column.close()))
  }
}

async function openColumn(
  config: RewardConfig,
  folder: string,
  shared: { ledger: Ledger; budget?: Budget }
): Promise<RewardColumn> {
  const { name, weight } = config
  if (config.grader) {
    const grader = await createGrader(
      { name, ...config.grader },
      {
        folder,
        judge: { ...shared, ...graderCalls(config.grader) }
      }
    )
    return {
      name,
      weight,
      score: (input, signal) => grader.grade(input, signal ? { signal } : {}),
      close: () => grader.close()
    }
  }
  const judge = config.judge
    ? await createJudge(withShared(judgeOptionsFrom(config.judge, folder), shared))
    : await createJudge({ provider: 'function', name, function: resolve(folder, config.function!) })
  return {
    name,
    weight,
    judge,
    score: (input, signal) => judge.scoreOne(input, signal ? { signal } : {}),
    close: () => judge.close()
  }
}

/** A judge's own ledger goes before the run's; its own budget stands beside the run's. */
function withShared(spec: JudgeSpec, { ledger, budget }: { ledger: Ledger; budget?: Budget }): JudgeSpec {
  const budgets = [budget ?? [], spec.budget ?? []].flat()
  return { ledger, ...spec, ...(budgets.length > 0 ? { budget: budgets } : {}) }
}

/** Where a grader that asks a model finds it: our own keys beside OpenAI's fields. */
function graderCalls(grader: Record<string, unknown>): object {
  const { provider, base_url: baseURL } = grader
  return {
    ...(typeof provider === 'string' ? { provider } : {}),
    ...(typeof baseURL === 'string' ? { baseURL } : {})
  }
}
