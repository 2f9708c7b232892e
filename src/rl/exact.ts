/** The exact estimator: a closed set of answers, each judged once, the gradient summed over the set. */
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from './prepared.js'
import { resolveAlgorithm } from './resolve.js'
import type { Algorithm, AlgorithmOptions, FloatArray } from './types.js'

export interface ExactInput {
  /** [choices]: summed token log-probs of each answer, as `policy.choiceLogProbs` gives them. */
  choiceLogProbs: FloatArray
  /** [choices]: the same under the reference; needed for a KL coefficient. */
  referenceChoiceLogProbs?: FloatArray
  /** [choices]; NaN = unscored. */
  rewards: FloatArray
  /** [choices]: 0 = unscored: left out of the set, gradient 0. */
  scored?: Uint8Array
  /** [prompts + 1]: the answers of prompt g are groupOffsets[g] … groupOffsets[g + 1] - 1. */
  groupOffsets: Int32Array
  /** Prompts with a scored answer in the whole optimizer batch, where this call sees a part of it. */
  batchGroups?: number
  /** [choices] each, element type of `choiceLogProbs`: where the results go. Default: new arrays. */
  out?: { choiceGradients?: FloatArray; probabilities?: FloatArray }
}

export interface ExactObjective {
  /** Minus the mean expected reward, plus coefficient × KL, minus coefficient × entropy. */
  loss: number
  /** [choices]: d loss / d log-prob of the answer, which is the coefficient of each of its tokens. */
  choiceGradients: FloatArray
  /** [choices]: normalised over the prompt's scored answers; 0 where unscored. */
  probabilities: FloatArray
  metrics: {
    /** Mean over prompts of the expected reward under the normalised probabilities. */
    reward: number
    entropy: number
    kl: number
    /** Mean probability that the policy gives the whole set of scored answers. */
    choice_mass: number
    frac_reward_zero_std: number
    dead_groups: number
    scored_groups: number
    unscored: number
  }
}

interface Output {
  choiceGradients: FloatArray
  probabilities: FloatArray
}

function bindExact(algorithm: Algorithm, input: ExactInput): Bound<Output> {
  const { choiceLogProbs, referenceChoiceLogProbs, rewards, scored, groupOffsets, out } = input
  const choices = covered('groupOffsets', groupOffsets)
  checkLength('choiceLogProbs', choiceLogProbs, choices, 'the last of groupOffsets')
  checkLength('rewards', rewards, choices, 'one per choice')
  checkLength('scored', scored, choices, 'one per choice')
  const needed = algorithm.kl.coefficient > 0 ? [] : undefined
  checkLength('referenceChoiceLogProbs', referenceChoiceLogProbs ?? needed, choices, 'one per choice')
  const choiceGradients = out?.choiceGradients ?? zeros(choices, choiceLogProbs)
  const probabilities = out?.probabilities ?? zeros(choices, choiceLogProbs)
  return {
    values: [
      choiceLogProbs,
      referenceChoiceLogProbs && sameType(referenceChoiceLogProbs, choiceLogProbs),
      sameType(rewards, choiceLogProbs),
      scored,
      groupOffsets,
      input.batchGroups,
      choiceGradients,
      probabilities
    ],
    output: { choiceGradients, probabilities }
  }
}

/** What the kernel writes, in its order. */
type ExactNumbers = readonly [
  loss: number,
  expectedReward: number,
  entropy: number,
  kl: number,
  mass: number,
  scoredGroups: number,
  deadGroups: number,
  unscored: number
]

function prepareExact(algorithm: Algorithm, device: Device | undefined): Prepared<ExactInput, ExactObjective> {
  const kernel = callKernel((kernels) =>
    kernels.rlExactObjective({
      device,
      weights: algorithm.advantage.exactWeights,
      baseline: algorithm.advantage.baseline === 'none' ? 'none' : 'expected',
      klCoefficient: algorithm.kl.coefficient,
      entropyCoefficient: algorithm.entropy.coefficient
    })
  )
  return preparedCall(
    kernel,
    8,
    (input: ExactInput) => bindExact(algorithm, input),
    (output, values): ExactObjective => {
      const [loss, expectedReward, entropy, kl, mass, scored, dead, unscored] = values as unknown as ExactNumbers
      return {
        loss,
        ...output,
        metrics: {
          reward: scored > 0 ? expectedReward : NaN,
          entropy,
          kl,
          choice_mass: mass,
          frac_reward_zero_std: scored > 0 ? dead / scored : 0,
          dead_groups: dead,
          scored_groups: scored,
          unscored
        }
      }
    }
  )
}

/**
 * J = mean over prompts of Σ π(c) r(c). With `exact_weights: softmax` (the default) π is the softmax of the answers'
 * log-probs, so that the gradient π(c)(r(c) − J) only moves probability between the answers. With `raw`, π is exp of the
 * log-prob as it is: the gradient also raises the mass of the set where rewards lie above the baseline, which is the
 * expected reward (`baseline: group`, held constant) or 0 (`baseline: none`). KL and entropy are those of the
 * normalised distribution over the set, exact too.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree or log-probs that are not finite; `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const exactObjective: RlCall<Algorithm, AlgorithmOptions, ExactInput, ExactObjective> = rlCall(
  prepareExact,
  resolveAlgorithm
)

/**
 * Spreads the answers' gradients over their tokens.
 * @param choiceGradients [choices], as `exactObjective` returns them.
 * @param cuSeqlens [choices + 1]: boundaries of the answers' tokens.
 * @returns [tokens]: d loss / d log-prob of each token, what `policy.backward` takes as `logProbGradients`.
 */
export function exactTokenGradients(choiceGradients: FloatArray, cuSeqlens: Int32Array): Float32Array {
  checkLength('choiceGradients', choiceGradients, cuSeqlens.length - 1, 'one per choice')
  const gradients = new Float32Array(covered('cuSeqlens', cuSeqlens))
  for (let choice = 0; choice < choiceGradients.length; choice++) {
    gradients.fill(choiceGradients[choice] ?? 0, cuSeqlens[choice], cuSeqlens[choice + 1])
  }
  return gradients
}
