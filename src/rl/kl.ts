/** Divergence of the policy from its reference, token by token. */
import { callKernel, checkLength, sameType, zeros } from './kernels.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from './prepared.js'
import { resolveAlgorithm } from './resolve.js'
import type { Algorithm, AlgorithmOptions, FloatArray } from './types.js'

/** The record's KL fields as the kernel reads them. */
export function klRule(algorithm: Algorithm): object {
  return { ...algorithm.kl }
}

export interface KlDivergenceInput {
  /** [tokens]: log-probs of the sampled tokens under the policy and under the reference; natural logarithms. */
  logProbs: FloatArray
  referenceLogProbs: FloatArray
  /** [tokens]: under the policy of the rollout, for `gradient: unbiased_ratio`. Default: logProbs. */
  oldLogProbs?: FloatArray
  /** [tokens]: 1 = counts. Default: all. */
  mask?: Uint8Array
  /** [tokens] each, element type of `logProbs`: where the results go. Default: new arrays. */
  out?: { values?: FloatArray; gradients?: FloatArray }
}

export interface KlDivergence {
  /** [tokens]: in nats, 0 where the mask is 0. */
  values: FloatArray
  /** [tokens]: derivatives with respect to the log-probs, 0 where the mask is 0. */
  gradients: FloatArray
}

function bind(input: KlDivergenceInput): Bound<KlDivergence> {
  const { logProbs, referenceLogProbs, oldLogProbs, mask, out } = input
  const tokens = logProbs.length
  checkLength('referenceLogProbs', referenceLogProbs, tokens, 'as many as logProbs')
  checkLength('oldLogProbs', oldLogProbs, tokens, 'as many as logProbs')
  checkLength('mask', mask, tokens, 'as many as logProbs')
  const output = {
    values: out?.values ?? zeros(tokens, logProbs),
    gradients: out?.gradients ?? zeros(tokens, logProbs)
  }
  return {
    values: [
      logProbs,
      sameType(referenceLogProbs, logProbs),
      oldLogProbs && sameType(oldLogProbs, logProbs),
      mask,
      output.values,
      output.gradients
    ],
    output
  }
}

function prepareDivergence(
  algorithm: Algorithm,
  device: Device | undefined
): Prepared<KlDivergenceInput, KlDivergence> {
  const kernel = callKernel((kernels) => kernels.rlKlDivergence({ ...klRule(algorithm), device }))
  return preparedCall(kernel, 0, bind, (output) => output)
}

/**
 * Estimates of KL(policy || reference) at each sampled token, by the algorithm's `kl` (its coefficient left out):
 * k1 = d, k2 = d²/2, k3 = exp(−d) − 1 + d, absolute = |d|, with d = log-prob − reference log-prob (Schulman 2020,
 * "Approximating KL").
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that differ or counted values that are not finite;
 *   `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const klDivergence: RlCall<Algorithm, AlgorithmOptions, KlDivergenceInput, KlDivergence> = rlCall(
  prepareDivergence,
  resolveAlgorithm
)
