/** Learning from answers that the data brings: nothing is sampled, and no judge is asked. */
import type { AnsweredItem } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import { encodeTurns } from './answers.js'
import { finite, type Metrics } from './metrics.js'
import { comparisonLoss, compareScores, placePairs, type Compared, type Comparison } from './prefer.js'
import type { PreferenceTraining } from './preference.js'
import type { Session } from './session.js'

/** Answers as tokens, by prompt. */
export interface GivenBatch {
  items: AnsweredItem[]
  prompts: Int32Array[]
  /** [items][answers]. */
  answers: Int32Array[][]
}

export async function encodeGiven({ policy }: Session, items: AnsweredItem[], file: string): Promise<GivenBatch> {
  const turns = items.map(({ messages, line, completions }) => ({ messages, line, answers: completions }))
  return { items, ...(await encodeTurns(policy, turns, file, 'answer')) }
}

/** Throws DATA_INVALID, with file and line, where the records do not compare what the preset does. */
function compareGiven({ items }: GivenBatch, training: PreferenceTraining, file: string): Comparison {
  const { kind } = items[0]!
  const labels = training.preference.kind === 'kto'
  const scores = items.map(({ completions }) => completions.map(({ score }) => score))
  if (labels) return compareScores(scores, kind === 'scores' ? training : { ...training, threshold: 0.5 })
  if (kind === 'scores') return compareScores(scores, training)
  if (kind === 'label') {
    const { preset } = training.preference
    const message = `${file}:${items[0]!.line}: field label is for the preset kto; ${preset} compares two answers: expected chosen and rejected, or scores`
    throw new AdjudgeError('DATA_INVALID', message)
  }
  const chosen = Int32Array.from(items, (_, index) => 2 * index)
  const rejected = Int32Array.from(items, (_, index) => 2 * index + 1)
  return { ...placePairs(chosen, rejected), metrics: { pairs: items.length, ties: 0, unscored: 0, dead_groups: 0 } }
}

async function compare(
  session: Session,
  items: AnsweredItem[],
  file: string,
  training: PreferenceTraining,
  learn: boolean
): Promise<{ loss: number | null; metrics: Record<string, number>; tokens: number }> {
  const { policy, reference, config } = session
  const batch = await encodeGiven(session, items, file)
  const all = batch.answers.flatMap((set, group): Compared[] =>
    set.map((tokens) => ({ promptTokens: batch.prompts[group]!, tokens, group }))
  )
  const comparison = compareGiven(batch, training, file)
  const { prompts } = batch
  const { temperature } = config.rollout
  // An answer that is compared once needs no memory.
  const again = !learn || config.training.steps * config.rollout.prompts > session.given!.length
  const names = items.flatMap(({ line, completions }) => completions.map((_, index) => `${file}:${line}:${index}`))
  const kept = { references: session.references, names }
  const input = { all, prompts, comparison, temperature, ...(again ? { kept } : {}), learn }
  const result = await comparisonLoss(policy, reference, training.preference, input)
  const tokens = all.reduce((sum, one) => sum + one.tokens.length, 0)
  return { ...result, tokens: tokens + prompts.reduce((sum, { length }) => sum + length, 0) }
}

/** Accumulates the gradient of the next items' comparisons. */
export async function compareStep(
  session: Session,
  step: number,
  training: PreferenceTraining
): Promise<{ loss: number | null; metrics: Metrics; tokens: number }> {
  const items = await session.answeredOf(step)
  const { loss, metrics, tokens } = await compare(session, items, session.train.path, training, true)
  const dead = metrics['dead_groups'] ?? 0
  return { loss, metrics: finite({ ...metrics, loss, frac_reward_zero_std: dead / items.length }), tokens }
}

/** Held-out comparisons: the loss, and how often and by how much the policy prefers what was chosen. */
export async function compareHeldOut(
  session: Session,
  items: AnsweredItem[],
  training: PreferenceTraining
): Promise<Metrics> {
  const { loss, metrics } = await compare(session, items, session.test!.path, training, false)
  return finite({ ...metrics, loss })
}
