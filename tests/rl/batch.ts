/** Batches with every array that a rule may look at, for the forms of the RL calls. */
import type { AdvantageInput, ExactInput, FloatArray, PolicyLossInput, ValueLossInput } from '../../src/rl/index.js'
import { AdjudgeError } from '../../src/errors.js'
import { stream } from './stream.js'

export type FloatType = typeof Float32Array | typeof Float64Array

export interface Batch {
  cuSeqlens: Int32Array
  mask: Uint8Array
  advantages: AdvantageInput
  /** Of advantages per completion; the caller gives those of its rule. */
  policyLoss: PolicyLossInput
  valueLoss: ValueLossInput
  exact: ExactInput
}

/** `groups` prompts with four completions each, of 1 to 6 tokens. */
export function makeBatch(groups: number, seed: number, Type: FloatType = Float64Array): Batch {
  const random = stream(seed)
  const draw = (length: number, from: number, to: number): FloatArray =>
    (Type as typeof Float64Array).from({ length }, () => from + (to - from) * random())
  const completions = 4 * groups
  const groupOffsets = Int32Array.from({ length: groups + 1 }, (_, group) => 4 * group)
  const cuSeqlens = new Int32Array(completions + 1)
  for (let row = 0; row < completions; row++) cuSeqlens[row + 1] = cuSeqlens[row]! + 1 + Math.floor(6 * random())
  const tokens = cuSeqlens.at(-1)!
  const mask = Uint8Array.from({ length: tokens }, () => (random() < 0.9 ? 1 : 0))
  const logProbs = draw(tokens, -3, -0.1)
  const oldLogProbs = logProbs.map((value) => value + 0.4 * (random() - 0.5))
  const referenceLogProbs = draw(tokens, -3, -0.1)
  const values = draw(tokens, -1, 1)
  const rewards = draw(completions, 0, 1)
  return {
    cuSeqlens,
    mask,
    advantages: {
      rewards,
      groupOffsets,
      cuSeqlens,
      mask,
      baselines: draw(groups, 0, 1),
      values,
      logProbs,
      referenceLogProbs,
      sumPiSquared: draw(tokens, 0.1, 0.9)
    },
    policyLoss: {
      logProbs,
      oldLogProbs,
      referenceLogProbs,
      entropies: draw(tokens, 0.5, 3),
      advantages: draw(completions, -1, 1),
      mask,
      cuSeqlens,
      maxTokens: 8
    },
    valueLoss: { values, oldValues: draw(tokens, -1, 1), returns: draw(tokens, -1, 1), mask, cuSeqlens, maxTokens: 8 },
    exact: {
      choiceLogProbs: draw(completions, -6, -1),
      referenceChoiceLogProbs: draw(completions, -6, -1),
      rewards,
      groupOffsets
    }
  }
}

/** What a call throws. */
export function refusal(call: () => unknown): AdjudgeError {
  try {
    call()
  } catch (error) {
    if (error instanceof AdjudgeError) return error
    throw error
  }
  throw new Error('was not refused')
}
