/**
 * Implicit language Q-learning (Snell et al. 2022): from completions that were judged before, heads learn what each token
 * is worth; nothing is sampled. A state is what stands before a token, the token is the action, the score comes with the
 * last one. Decoding then takes logits + beta · (min Q − V).
 */
import type { AnsweredItem } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import type { HeadBackward } from '../policy/index.js'
import type { Policy } from '../policy/policy.js'
import type { Sequence } from '../policy/types.js'
import { qLoss, qTargets, type QLoss } from '../rl/index.js'
import { joinRows, offsetsOf, splitRows } from '../rl/ragged.js'
import { encodeGiven } from './given.js'
import { finite, type Metrics } from './metrics.js'
import type { QTraining } from './qConfig.js'
import { qHeads } from './qHeads.js'
import type { Session } from './session.js'

interface Judged extends Sequence {
  tokens: Int32Array
  promptTokens: Int32Array
  rewards: Float32Array
}

/** Answers with a score, each token with its reward. */
async function judgedAnswers(
  session: Session,
  items: AnsweredItem[],
  { scaleRewards }: QTraining
): Promise<{ judged: Judged[]; unscored: number; scores: number[] }> {
  const file = session.train.path
  const { prompts, answers } = await encodeGiven(session, items, file)
  const { mean, deviation } = session.given!.scores
  const judged: Judged[] = []
  const scores: number[] = []
  let unscored = 0
  items.forEach(({ completions, line }, group) =>
    completions.forEach(({ score, tokenRewards }, index) => {
      const tokens = answers[group]![index]!
      if (score === null) unscored++
      else {
        const rewards = new Float32Array(tokens.length)
        if (tokenRewards) {
          if (tokenRewards.length !== tokens.length) {
            const message = `${file}:${line}: token_rewards has ${tokenRewards.length} numbers; the answer has ${tokens.length} tokens, its end included: expected one for each`
            throw new AdjudgeError('DATA_INVALID', message)
          }
          rewards.set(tokenRewards)
        } else rewards[tokens.length - 1] = scaleRewards ? (score - mean) / (deviation || 1) : score
        judged.push({ promptTokens: prompts[group]!, tokens, rewards })
        scores.push(score)
      }
    })
  )
  return { judged, unscored, scores }
}

/** One array per sequence again; zeros where there is nothing. */
const cut = (flat: ArrayLike<number> | undefined, cuSeqlens: Int32Array): Float32Array[] =>
  splitRows(flat ?? new Float32Array(cuSeqlens.at(-1)!), cuSeqlens)

/** V of the state after each token; the last one of a completion has none. */
function nextValues(values: Float32Array, cuSeqlens: Int32Array): { nextValues: Float32Array; terminated: Uint8Array } {
  const next = new Float32Array(values.length)
  next.set(values.subarray(1))
  const terminated = new Uint8Array(values.length)
  for (let row = 1; row < cuSeqlens.length; row++) {
    next[cuSeqlens[row]! - 1] = 0
    terminated[cuSeqlens[row]! - 1] = 1
  }
  return { nextValues: next, terminated }
}

interface Scored {
  loss: QLoss
  cuSeqlens: Int32Array
}

async function lossOf(
  policy: Policy,
  judged: Judged[],
  { algorithm, twoQs }: QTraining,
  temperature: number
): Promise<Scored> {
  const conservative = algorithm.loss.conservative.coefficient > 0
  const cloning = algorithm.loss.policy.coefficient > 0
  const wanted = qHeads(twoQs).flatMap(([online, target]) => [
    [online, { logSumExps: conservative }],
    [target, {}]
  ])
  const scores = await policy.score(judged, {
    temperature,
    logProbs: cloning,
    heads: { value: {}, ...(Object.fromEntries(wanted) as Record<string, { logSumExps?: boolean }>) }
  })
  const cuSeqlens = offsetsOf(judged.map(({ tokens }) => tokens.length))
  const join = (rows: readonly Float32Array[]) => joinRows(rows, cuSeqlens)
  const valuesOf = (name: string) => join(scores.heads[name]!.values)
  const logSumExpsOf = (name: string) => join(scores.heads[name]!.logSumExps!)
  const values = valuesOf('value')
  const targets = qTargets(algorithm, {
    rewards: join(judged.map(({ rewards }) => rewards)),
    cuSeqlens,
    ...nextValues(values, cuSeqlens)
  })
  const loss = qLoss(algorithm, {
    targets,
    values,
    actionQ: valuesOf('q'),
    targetQ: valuesOf('target_q'),
    ...(conservative ? { logSumExpQ: logSumExpsOf('q') } : {}),
    ...(twoQs ? { twinActionQ: valuesOf('twin_q'), twinTargetQ: valuesOf('twin_target_q') } : {}),
    ...(twoQs && conservative ? { twinLogSumExpQ: logSumExpsOf('twin_q') } : {}),
    ...(cloning ? { logProbs: join(scores.logProbs!) } : {})
  })
  return { loss, cuSeqlens }
}

/** Accumulates the gradients of policy and heads on the next items. A step without a score learns nothing. */
export async function qStep(
  session: Session,
  step: number,
  training: QTraining
): Promise<{ metrics: Metrics; tokens: number }> {
  const { policy, config } = session
  const { judged, unscored, scores } = await judgedAnswers(session, await session.answeredOf(step), training)
  if (judged.length === 0) return { metrics: { loss: null, unscored }, tokens: 0 }
  const { temperature } = config.rollout
  const { loss, cuSeqlens } = await lossOf(policy, judged, training, temperature)
  const twin: Record<string, HeadBackward> = training.twoQs
    ? { twin_q: headGradients(loss.twinActionQGradients, loss.twinLogSumExpQGradients, cuSeqlens) }
    : {}
  await policy.backward({
    sequences: judged,
    logProbGradients: cut(loss.logProbGradients, cuSeqlens),
    heads: {
      value: headGradients(loss.valueGradients, undefined, cuSeqlens),
      q: headGradients(loss.actionQGradients, loss.logSumExpQGradients, cuSeqlens),
      ...twin
    },
    temperature
  })
  const { metrics } = loss
  return {
    metrics: finite({
      loss: loss.loss,
      'losses/q': metrics.td,
      'losses/cql': metrics.conservative,
      'losses/value': metrics.value,
      'losses/awac': metrics.policy,
      'values/q': metrics.q,
      'values/v': metrics.state_value,
      'values/target': metrics.target,
      reward: scores.reduce((sum, score) => sum + score, 0) / scores.length,
      unscored
    }),
    tokens: judged.reduce((sum, { tokens, promptTokens }) => sum + tokens.length + promptTokens.length, 0)
  }
}

const headGradients = (
  values: ArrayLike<number> | undefined,
  logSumExps: ArrayLike<number> | undefined,
  cuSeqlens: Int32Array
): HeadBackward => ({
  valueGradients: cut(values, cuSeqlens),
  ...(logSumExps ? { logSumExpGradients: cut(logSumExps, cuSeqlens) } : {})
})

/** Applies the heads' gradients, and lets the target networks follow. */
export async function applyHeads(
  { policy, config }: Session,
  step: number,
  { algorithm, twoQs, headLearningRate }: QTraining,
  scale: number
): Promise<Metrics> {
  const { clip_norm: clipNorm, weight_decay: weightDecay, beta1, beta2, epsilon } = config.optimizer
  const options = { learningRate: headLearningRate * scale, clipNorm, weightDecay, beta1, beta2, epsilon }
  const metrics: Metrics = {}
  for (const name of ['value', ...qHeads(twoQs).map(([online]) => online)]) {
    metrics[`grad_norm/${name}`] = (await policy.stepHead(name, options)).gradNorm
  }
  if (step % algorithm.target.every === 0) {
    for (const [online, target] of qHeads(twoQs)) await policy.blendHead(target, online, algorithm.target.rate)
  }
  return metrics
}
