/** One optimizer step: by reinforcement (rollout, judges, loss) or supervised. */
import { join } from 'node:path'
import { AdjudgeError } from '../errors.js'
import { choiceMetrics, weighChoices } from './choices.js'
import { algorithmOf } from './config.js'
import { fileOf } from './evaluate.js'
import { JsonlWriter } from './files.js'
import { compareStep } from './given.js'
import { finite, rolloutMetrics, type Metrics } from './metrics.js'
import { preferenceBackward } from './prefer.js'
import { preferenceOf } from './preference.js'
import { rollOut, rolloutRecords, type Rollout } from './rollout.js'
import { learningRateAt } from './schedule.js'
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
    : await rollOut(policy, items, rewards, samplingOf(config, step), name)
  await writeRollout(session, rollout, step)
  checkScored(rollout, session)
  const started = performance.now()
  const { loss, metrics } = await learn(session, rollout)
  const applied = await applyStep(session, step)
  const completions = rollout.groups.flatMap((group) => group.completions)
  const sampled = completions.reduce((sum, { tokens }) => sum + tokens.length, 0)
  const logProbs = completions.reduce((sum, one) => sum + one.logProbs.reduce((a, b) => a + b, 0), 0)
  return {
    metrics: {
      ...finite({ ...metrics, loss }),
      // Of the sampled tokens the entropy is an estimate without bias, and costs nothing; of a closed set it is exact.
      ...(choices
        ? choiceMetrics(rollout, rewards)
        : { ...rolloutMetrics(rollout, rewards), entropy: -logProbs / sampled }),
      ...applied,
      'time/generation': rollout.generation / 1000,
      'time/judge': rollout.waiting / 1000,
      'time/training': (performance.now() - started) / 1000
    },
    tokens: sampled + rollout.groups.reduce((sum, { promptTokens }) => sum + promptTokens.length, 0)
  }
}

/** Accumulates the gradients of a judged rollout: by comparison, or by rewards. */
async function learn(
  { config, policy, reference }: Session,
  rollout: Rollout
): Promise<{ loss: number | null; metrics: Record<string, number | undefined> }> {
  const training = preferenceOf(config)
  if (training) return preferenceBackward(policy, reference, rollout, training)
  const algorithm = algorithmOf(config)
  const { loss, metrics } = await policy.backward({
    groups: rollout.groups,
    rewards: rollout.rewarded.map((group) => group.map(({ reward }) => reward)),
    algorithm,
    maxTokens: config.rollout.max_tokens,
    ...(reference ? { reference } : {})
  })
  // Without a coefficient there is no reference, and nothing was measured.
  const { kl, ...rest } = metrics
  return { loss, metrics: { ...rest, ...(algorithm.kl.coefficient > 0 ? { kl } : {}) } }
}

/** A step on the data's own answers. */
export async function givenStep(session: Session, step: number): Promise<StepResult> {
  const started = performance.now()
  const { metrics, tokens } = await compareStep(session, step, preferenceOf(session.config)!)
  const applied = await applyStep(session, step)
  return { metrics: { ...metrics, ...applied, 'time/training': (performance.now() - started) / 1000 }, tokens }
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
  const applied = await applyStep(session, step)
  return {
    metrics: { ...finite({ loss }), ...applied, counted_tokens: tokens },
    tokens: lengths.reduce((sum, length) => sum + length, 0)
  }
}

async function applyStep({ config, policy }: Session, step: number): Promise<Metrics> {
  const { optimizer, training } = config
  const learningRate = learningRateAt(step, optimizer, training.steps)
  const { gradNorm } = await policy.step({
    learningRate,
    clipNorm: optimizer.clip_norm,
    weightDecay: optimizer.weight_decay,
    beta1: optimizer.beta1,
    beta2: optimizer.beta2,
    epsilon: optimizer.epsilon
  })
  return { grad_norm: gradNorm, learning_rate: learningRate }
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
