/** The updates from one judged rollout: passes over it in mini-batches, each a loss, its gradients, and a step. */
import { permutation } from '../data/index.js'
import {
  importanceWeights,
  mismatchMetrics,
  needsEntropies,
  policyLoss,
  rejectionMask,
  valueLoss,
  type OffPolicySpec,
  type RolloutInput
} from '../rl/index.js'
import { joinRows, offsetsOf, splitRows } from '../rl/ragged.js'
import { judgedBatch, type JudgedBatch } from './judged.js'
import type { Metrics } from './metrics.js'
import { valueHead, type Reinforcement } from './reinforcement.js'
import type { Rollout } from './rollout.js'
import { learningRateAt } from './schedule.js'
import type { Session } from './session.js'

type Numbers = Record<string, number | undefined>

/** What the rollout's learning came to; all means over its updates. */
export interface Reinforced {
  loss: number
  metrics: Numbers
  /** For the run's state, once the step is through. */
  shaping: JudgedBatch['shaping']
}

/** Learns from a judged rollout, and applies it: all updates of a step. */
export async function reinforce(
  session: Session,
  rollout: Rollout,
  step: number,
  plan: Reinforcement
): Promise<Reinforced> {
  const batch = await judgedBatch(session, rollout, plan)
  const { version } = rollout.groups[0]!
  const updates: Numbers[] = []
  for (let iteration = 0; iteration < plan.iterations; iteration++) {
    for (const part of partsOf(session, batch, plan, step * plan.iterations + iteration)) {
      const { temperature } = rollout.groups[0]!
      const fresh = session.policy.version === version
      updates.push(await update(session, batch, part, { plan, step, temperature, fresh }))
    }
  }
  const { loss, ...metrics } = means(updates)
  return { loss: loss!, metrics: { ...batch.metrics, ...metrics }, shaping: batch.shaping }
}

/** Completions of each update: whole prompts, in the rollout's order where there is one update. */
function partsOf(session: Session, batch: JudgedBatch, { miniBatches }: Reinforcement, pass: number): number[][] {
  const groups = batch.groupOffsets.length - 1
  const order = permutation(groups, session.config.training.seed, pass)
  return Array.from({ length: miniBatches }, (_, part) => {
    const [first, end] = [part, part + 1].map((edge) => Math.floor((edge * groups) / miniBatches)) as [number, number]
    const chosen = Array.from({ length: end - first }, (_, at) => (miniBatches === 1 ? at : order(first + at)))
    return chosen
      .sort((left, right) => left - right)
      .flatMap((group) => {
        const [start, stop] = [batch.groupOffsets[group]!, batch.groupOffsets[group + 1]!]
        return Array.from({ length: stop - start }, (_, at) => start + at)
      })
  })
}

interface UpdateOptions {
  plan: Reinforcement
  step: number
  temperature: number
  /** Nothing was learned since the rollout: its log-probs and values are still those of the policy. */
  fresh: boolean
}

async function update(session: Session, batch: JudgedBatch, rows: number[], options: UpdateOptions): Promise<Numbers> {
  const { policy, config } = session
  const { plan, temperature, fresh } = options
  const { algorithm } = batch
  const pick = <Row>(from: Row[] | undefined): Row[] | undefined => from && rows.map((row) => from[row]!)
  const sequences = pick(batch.sequences)!
  const cuSeqlens = offsetsOf(sequences.map(({ tokens }) => tokens.length))
  const flat = (from: ArrayLike<number>[] | undefined) => {
    const picked = pick(from)
    return picked && joinRows(picked, cuSeqlens)
  }
  const entropies = needsEntropies(algorithm)
  const critic = plan.value !== undefined
  const scores =
    fresh && !entropies
      ? undefined
      : await policy.score(sequences, { temperature, entropies, heads: critic && !fresh ? { [valueHead]: {} } : {} })
  const atRollout = flat(batch.logProbs)!
  const logProbs = fresh ? atRollout : joinRows(scores!.logProbs!, cuSeqlens)
  const sampling = flat(batch.samplingLogProbs)!
  const correction = correct(plan.offPolicy, {
    logProbs: plan.offPolicy?.oldLogProbs === 'rollout' ? logProbs : atRollout,
    rolloutLogProbs: sampling,
    advantages: Float32Array.from(pick(batch.advantages)!, (row) => row.reduce((a, b) => a + b, 0) / (row.length || 1)),
    ...(batch.mask ? { mask: maskOf(pick(batch.mask)!, cuSeqlens) } : {}),
    cuSeqlens
  })
  const perToken = batch.perToken
  const maxTokens = config.rollout.max_tokens
  const policyPart = policyLoss(algorithm, {
    logProbs,
    oldLogProbs: plan.offPolicy?.oldLogProbs === 'rollout' ? sampling : atRollout,
    ...(batch.referenceLogProbs ? { referenceLogProbs: flat(batch.referenceLogProbs)! } : {}),
    ...(entropies ? { entropies: joinRows(scores!.entropies!, cuSeqlens) } : {}),
    ...(correction.weights ? { importanceWeights: correction.weights } : {}),
    rolloutLogProbs: sampling,
    advantages: perToken ? flat(batch.advantages)! : Float32Array.from(pick(batch.advantages)!, (row) => row[0]!),
    advantagesPerToken: perToken,
    ...(correction.mask ? { mask: correction.mask } : {}),
    cuSeqlens,
    maxTokens
  })
  const valuePart =
    plan.value &&
    valueLoss(plan.value.spec, {
      values: fresh ? flat(batch.values)! : joinRows(scores!.heads[valueHead]!.values, cuSeqlens),
      oldValues: flat(batch.values)!,
      returns: flat(batch.returns)!,
      mask: scoredMask(pick(batch.unscored)!, cuSeqlens),
      cuSeqlens,
      maxTokens
    })
  await policy.backward({
    sequences,
    logProbGradients: splitRows(policyPart.logProbGradients, cuSeqlens),
    ...(policyPart.entropyGradients ? { entropyGradients: splitRows(policyPart.entropyGradients, cuSeqlens) } : {}),
    ...(valuePart
      ? { heads: { [valueHead]: { valueGradients: splitRows(valuePart.valueGradients, cuSeqlens) } } }
      : {}),
    temperature
  })
  const applied = await applyUpdate(session, options.step, plan.value?.learningRate)
  // Without a coefficient there is no reference, and nothing was measured.
  const { kl, ...measured } = policyPart.metrics
  return {
    loss: policyPart.loss,
    ...measured,
    ...(algorithm.kl.coefficient > 0 && !algorithm.kl.inReward ? { kl } : {}),
    ...correction.metrics,
    ...(valuePart ? criticMetrics(valuePart) : {}),
    ...applied
  }
}

function criticMetrics({ loss, metrics }: ReturnType<typeof valueLoss>): Numbers {
  const { tokens: _tokens, sequences: _sequences, ...named } = metrics
  return { value_loss: loss, ...named }
}

const maskOf = (rows: Uint8Array[], cuSeqlens: Int32Array): Uint8Array => {
  const flat = new Uint8Array(cuSeqlens.at(-1)!)
  rows.forEach((row, index) => flat.set(row, cuSeqlens[index]))
  return flat
}

/** The critic learns from nothing that was not scored. */
function scoredMask(unscored: boolean[], cuSeqlens: Int32Array): Uint8Array {
  const mask = new Uint8Array(cuSeqlens.at(-1)!).fill(1)
  unscored.forEach((left, row) => {
    if (left) mask.fill(0, cuSeqlens[row], cuSeqlens[row + 1])
  })
  return mask
}

interface Correction {
  weights?: Float32Array
  mask?: Uint8Array
  metrics: Numbers
}

/** Weights and mask of a loss for what was sampled from another distribution. */
function correct(spec: OffPolicySpec | undefined, input: RolloutInput & { mask?: Uint8Array }): Correction {
  const { mask } = input
  if (!spec) return { ...(mask ? { mask } : {}), metrics: {} }
  const weighted = spec.importance ? importanceWeights(spec, input) : undefined
  const rejected = spec.rejection.length > 0 ? rejectionMask(spec, input) : undefined
  const kept = rejected?.mask ?? mask
  const distance = Object.entries(mismatchMetrics(input)).map(([name, value]) => [`mismatch/${name}`, value as number])
  const { criteria: _criteria, ...rejection } = rejected?.metrics ?? { criteria: [] }
  return {
    ...(weighted ? { weights: Float32Array.from(weighted.weights) } : {}),
    ...(kept ? { mask: kept } : {}),
    metrics: { ...(weighted?.metrics ?? {}), ...rejection, ...(Object.fromEntries(distance) as Numbers) }
  }
}

/** Applies what was accumulated, to the policy and, at a rate of its own, to the critic. */
export async function applyUpdate(session: Session, step: number, criticRate?: number): Promise<Metrics> {
  const { optimizer, training } = session.config
  const common = {
    clipNorm: optimizer.clip_norm,
    weightDecay: optimizer.weight_decay,
    beta1: optimizer.beta1,
    beta2: optimizer.beta2,
    epsilon: optimizer.epsilon
  }
  const rate = (learning_rate: number) => learningRateAt(step, { ...optimizer, learning_rate }, training.steps)
  const learningRate = rate(optimizer.learning_rate)
  const { gradNorm } = await session.policy.step({ ...common, learningRate })
  const metrics: Metrics = { grad_norm: gradNorm, learning_rate: learningRate }
  if (criticRate === undefined) return metrics
  const critic = await session.policy.stepHead(valueHead, { ...common, learningRate: rate(criticRate) })
  return { ...metrics, value_grad_norm: critic.gradNorm }
}

/** Of each number over the updates that have it; one that is not finite anywhere is left as it is. */
function means(updates: Numbers[]): Numbers {
  const names = new Set(updates.flatMap((one) => Object.keys(one)))
  return Object.fromEntries(
    Array.from(names, (name) => {
      const values = updates.flatMap((one) => one[name] ?? [])
      return [name, values.reduce((sum, value) => sum + value, 0) / values.length]
    })
  )
}
