/** Divergence of the policy from its reference, token by token. */
import { callKernel, checkFinite, checkLength, sameType } from './kernels.js'
import type { Algorithm, FloatArray } from './types.js'

/** The record's KL fields as the kernel reads them. */
export function klRule(algorithm: Algorithm): object {
  return { ...algorithm.kl }
}

/**
 * Estimates of KL(policy || reference) at each sampled token, by the algorithm's `kl` (its coefficient left out):
 * k1 = d, k2 = d²/2, k3 = exp(−d) − 1 + d, absolute = |d|, with d = log-prob − reference log-prob.
 * @param input [tokens] each, natural logarithms; where `mask` is 0 the result is 0.
 * @returns values and their derivatives with respect to the log-probs, [tokens].
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that differ or values that are not finite.
 */
export function klDivergence(
  algorithm: Algorithm,
  input: { logProbs: FloatArray; referenceLogProbs: FloatArray; oldLogProbs?: FloatArray; mask?: Uint8Array }
): { values: FloatArray; gradients: FloatArray } {
  const { logProbs, mask } = input
  const tokens = logProbs.length
  checkLength('referenceLogProbs', input.referenceLogProbs, tokens, 'as many as logProbs')
  checkLength('oldLogProbs', input.oldLogProbs, tokens, 'as many as logProbs')
  checkLength('mask', mask, tokens, 'as many as logProbs')
  checkFinite('logProbs', logProbs, mask)
  checkFinite('referenceLogProbs', input.referenceLogProbs, mask)
  const result = callKernel((kernels) =>
    kernels.rlKlDivergence(klRule(algorithm), {
      logProbs,
      referenceLogProbs: sameType(input.referenceLogProbs, logProbs),
      oldLogProbs: input.oldLogProbs && sameType(input.oldLogProbs, logProbs)
    })
  )
  if (mask) {
    for (let token = 0; token < tokens; token++) {
      if (mask[token] !== 0) continue
      result.values[token] = 0
      result.gradients[token] = 0
    }
  }
  return result
}
