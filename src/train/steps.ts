/** One optimizer step: by reinforcement (rollout, judges, loss) or supervised. */
import { join } from 'node:path'
import type { DataItem } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import { choiceMetrics, weighChoices } from './choices.js'
import { algorithmOf } from './config.js'
import { fileOf } from './evaluate.js'
import { JsonlWriter } from './files.js'
import { compareStep } from './given.js'
import { applyHeads, qStep } from './ilql.js'
import { finite, rolloutMetrics, type Metrics } from './metrics.js'
import { preferenceBackward } from './prefer.js'
import { isPreference, preferenceOf } from './preference.js'
import { qTrainingOf } from './qConfig.js'
import { applyUpdate, reinforce } from './reinforce.js'
import { reinforcementOf } from './reinforcement.js'
import { rollOut, rolloutRecords, type Rollout } from './rollout.js'
import { samplingOf, type Session } from './session.js'
import { superviseBatch, supervisedSequence } from './sft.js'
import { countReasons } from './statistics.js'

export interface StepResult {
  metrics: Metrics
  /** Tokens of prompts and answers. */
  tokens: number
}

/** Throws ALL_UNSCORED before anything is learned where no completion of the step has a reward. */
export async function reinforceStep(session: Session, step: number): Promise<StepResult> {
  const { config, policy, rewards, choices } = session
  const items = await session.itemsOf(step)
  await session.checkLengths(items, session.train.path)
  const name = `step-${step}`
  const { temperature } = config.rollout
  const rollout = choices
    ? await weighChoices(policy, items, rewards, choices, { file: session.train.path, temperature, name })
    : await sample(session, items, step, name)
  await writeRollout(session, rollout, step)
  checkScored(rollout, session)
  const started = performance.now()
  const { loss, metrics } = await learn(session, rollout, step)
  const completions = rollout.groups.flatMap((group) => group.completions)
  const count = (sum: number, { tokens }: { tokens: Int32Array }) => sum + tokens.length
  const sampled = completions.reduce(count, 0)
  const greedy = rollout.greedy?.groups.flatMap((group) => group.completions).reduce(count, 0) ?? 0
  const logProbs = completions.reduce((sum, one) => sum + one.logProbs.reduce((a, b) => a + b, 0), 0)
  return {
    metrics: {
      ...finite({ ...metrics, loss }),
      // Of the sampled tokens the entropy is an estimate without bias, and costs nothing; of a closed set it is exact.
      ...(choices
        ? choiceMetrics(rollout, rewards)
        : { ...rolloutMetrics(rollout, rewards), entropy: -logProbs / sampled }),
      'time/generation': rollout.generation / 1000,
      'time/judge': rollout.waiting / 1000,
      'time/training': (performance.now() - started) / 1000
    },
    tokens: sampled + greedy + rollout.groups.reduce((sum, { promptTokens }) => sum + promptTokens.length, 0)
  }
}

/** Completions of the step's prompts, judged, with the greedy ones that some algorithms compare them with. */
async function sample(session: Session, items: DataItem[], step: number, name: string): Promise<Rollout> {
  const { config, policy, rewards } = session
  const sampling = samplingOf(config, step)
  const rollout = await rollOut(policy, items, rewards, sampling, name)
  if (isPreference(config) || algorithmOf(config).advantage.baseline !== 'given') return rollout
  const greedy = await rollOut(policy, items, rewards, { ...sampling, n: 1, temperature: 0 }, `${name}-greedy`)
  const { generation, waiting } = rollout
  return { ...rollout, greedy, generation: generation + greedy.generation, waiting: waiting + greedy.waiting }
}

/** Learns from a judged rollout: by comparison, of a closed set of answers, or by rewards. */
async function learn(
  session: Session,
  rollout: Rollout,
  step: number
): Promise<{ loss: number | null; metrics: Record<string, number | null | undefined> }> {
  const { config, policy, reference } = session
  const training = preferenceOf(config)
  if (training) {
    const { loss, metrics } = await preferenceBackward(policy, reference, rollout, training)
    return { loss, metrics: { ...metrics, ...(await applyUpdate(session, step)) } }
  }
  const algorithm = algorithmOf(config)
  if (algorithm.advantage.estimator !== 'exact') {
    const { shaping, ...result } = await reinforce(session, rollout, step, reinforcementOf(config, algorithm))
    if (shaping) session.state.shaping = shaping
    return result
  }
  const { loss, metrics } = await policy.backward({
    groups: rollout.groups,
    rewards: rollout.rewarded.map((group) => group.map(({ reward }) => reward)),
    algorithm,
    ...(reference ? { reference } : {})
  })
  // Without a coefficient there is no reference, and nothing was measured.
  const { kl, ...rest } = metrics
  const measured = { ...rest, ...(algorithm.kl.coefficient > 0 ? { kl } : {}) }
  return { loss, metrics: { ...measured, ...(await applyUpdate(session, step)) } }
}

/** A step on the data's own answers: Q values of their tokens, or comparisons. */
export async function givenStep(session: Session, step: number): Promise<StepResult> {
  const started = performance.now()
  const q = qTrainingOf(session.config)
  const { metrics, tokens } = await (q
    ? qStep(session, step, q)
    : compareStep(session, step, preferenceOf(session.config)!))
  const applied = await applyUpdate(session, step)
  const { learning_rate: rate } = session.config.optimizer
  const heads = q ? await applyHeads(session, step, q, applied['learning_rate']! / rate) : {}
  const time = (performance.now() - started) / 1000
  return { metrics: { ...metrics, ...applied, ...heads, 'time/training': time }, tokens }
}

export async function superviseStep(session: Session, step: number): Promise<StepResult> {
  const { policy, train } = session
  const items = await session.itemsOf(step)
  const sequences = items.map((item) => supervisedSequence(policy, item, train.path))
  const { maxPositions } = policy.description
  const lengths = sequences.map(({ promptTokens, tokens }) => promptTokens.length + tokens.length)
  const long = lengths.findIndex((length) => length > maxPositions)
  if (long >= 0) {
    const where = `${train.path}:${items[long]!.line}: the conversation has ${lengths[long]} tokens`
    throw new AdjudgeError('CONTEXT_EXCEEDED', `${where}; the model's context has ${maxPositions}`)
  }
  const { loss, tokens } = await superviseBatch(policy, sequences)
  const applied = await applyUpdate(session, step)
  return {
    metrics: { ...finite({ loss }), ...applied, counted_tokens: tokens },
    tokens: lengths.reduce((sum, length) => sum + length, 0)
  }
}

async function writeRollout(session: Session, rollout: Rollout, step: number): Promise<void> {
  const writer = await JsonlWriter.open(join(session.folder, 'rollouts', fileOf(step)))
  for (const record of rolloutRecords(rollout, session.rewards, step)) await writer.write(record)
  await writer.finish()
}

function checkScored({ rewarded }: Rollout, { rewards }: Session): void {
  const all = rewarded.flat()
  if (all.some(({ reward }) => reward !== null)) return
  const told = rewards.columns.flatMap(({ name, weight }, column) => {
    const verdicts = all.map(({ verdicts }) => verdicts[column]!)
    const reasons = countReasons(verdicts).map(([reason, count]) => `${reason} ${count}`)
    if (weight === 0 || reasons.length === 0) return []
    const first = verdicts.find(({ detail }) => detail !== undefined)?.detail ?? 'no detail'
    return [`  ${name}: ${reasons.join(', ')}; the first one says: ${first}`]
  })
  throw new AdjudgeError(
    'ALL_UNSCORED',
    `none of the ${all.length} completions of this step has a reward, so there is nothing to learn from:\n` +
      `${told.join('\n')}\nPut the judge right (try it with: adjudge judge), then go on with --resume`
  )
}
