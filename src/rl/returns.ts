/** Returns and advantages of sequences with a critic: GAE, V-trace, Retrace, UPGO, over packed ragged arrays. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkFinite, checkLength, covered, sameType } from './kernels.js'
import type { NativeReturnsInput } from './native.js'
import type { FloatArray } from './types.js'

/** Arrays [tokens] of packed sequences; natural logarithms; results have the element type of `rewards`. */
export interface SequenceInput {
  /** [tokens]: reward of each token (step). */
  rewards: FloatArray
  /** [tokens]: value of the state before the token. */
  values: FloatArray
  /** [sequences + 1]: sequence i is tokens cuSeqlens[i] … cuSeqlens[i + 1] - 1. */
  cuSeqlens: Int32Array
  /** [tokens]: 0 = no step, such as a tool's answer: what comes after it follows what came before. Default: all 1. */
  mask?: Uint8Array
  /** [sequences]: value of the state after the last token, of sequences that were cut. Default: 0, they ended. */
  bootstrapValues?: FloatArray
}

export interface OffPolicyInput extends SequenceInput {
  /** [tokens]: log-prob under the policy − log-prob under the policy that sampled. Default: 0, the same policy. */
  logRatios?: FloatArray
}

function fraction(name: string, value: number | undefined): number {
  if (value === undefined) return 1
  if (value >= 0 && value <= 1) return value
  throw new AdjudgeError('ARGUMENT_INVALID', `${name} is ${value}, expected a number from 0 to 1`)
}

/** A bound of importance ratios; null = none. */
function ratioBound(name: string, value: number | null | undefined): number | null {
  if (value === undefined) return 1
  if (value === null || (value >= 0 && Number.isFinite(value))) return value
  throw new AdjudgeError('ARGUMENT_INVALID', `${name} is ${value}, expected a number of at least 0, or null`)
}

function checked(input: OffPolicyInput & { actionValues?: FloatArray }): NativeReturnsInput {
  const { rewards, cuSeqlens, mask } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  const array = (name: 'rewards' | 'values' | 'actionValues' | 'logRatios') => {
    const values = input[name]
    checkLength(name, values, tokens, 'one per token')
    checkFinite(name, values, mask)
    return values && sameType(values, rewards)
  }
  checkLength('mask', mask, tokens, 'one per token')
  checkLength('bootstrapValues', input.bootstrapValues, cuSeqlens.length - 1, 'one per sequence')
  checkFinite('bootstrapValues', input.bootstrapValues)
  return {
    rewards: array('rewards') ?? rewards,
    values: array('values') ?? rewards,
    actionValues: array('actionValues'),
    logRatios: array('logRatios'),
    cuSeqlens,
    mask,
    bootstrapValues: input.bootstrapValues && sameType(input.bootstrapValues, rewards)
  }
}

/**
 * Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438):
 * A_t = δ_t + γλ A_{t+1} with δ_t = r_t + γ V_{t+1} − V_t; returns are A_t + V_t, the critic's targets.
 * @param options gamma, lambda: 0 … 1, default 1. maskedReturn: a masked token is no step (`skip`, verl), or one whose
 *   reward and value are 0 (`through`, OpenRLHF).
 * @returns [tokens] each; 0 where the mask is 0.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, values that are not finite, numbers out of range.
 */
export function gae(
  input: SequenceInput,
  options: { gamma?: number; lambda?: number; maskedReturn?: 'skip' | 'through' } = {}
): { advantages: FloatArray; returns: FloatArray } {
  const rule = {
    gamma: fraction('gamma', options.gamma),
    lambda: fraction('lambda', options.lambda),
    skipMasked: options.maskedReturn !== 'through'
  }
  return callKernel((kernels) => kernels.rlGae(rule, checked(input)))
}

/**
 * V-trace (Espeholt et al. 2018, arXiv 1802.01561), with the λ of RLax: the targets are
 * v_t = V_t + Σ_{s≥t} γ^{s−t} (Π_{t≤i<s} c_i) ρ_s (r_s + γ V_{s+1} − V_s), ρ = min(rhoClip, ratio),
 * c = λ min(cClip, ratio); the advantages min(policyGradientRhoClip, ratio) (r_t + γ (λ v_{t+1} + (1−λ) V_{t+1}) − V_t).
 * @param options gamma, lambda: 0 … 1; the bounds of the ratios: at least 0, or null for none. Default: all 1.
 * @returns [tokens] each; 0 where the mask is 0.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, values that are not finite, numbers out of range.
 */
export function vtrace(
  input: OffPolicyInput,
  options: {
    gamma?: number
    lambda?: number
    rhoClip?: number | null
    cClip?: number | null
    policyGradientRhoClip?: number | null
  } = {}
): { targets: FloatArray; advantages: FloatArray } {
  const rule = {
    gamma: fraction('gamma', options.gamma),
    lambda: fraction('lambda', options.lambda),
    rhoClip: ratioBound('rhoClip', options.rhoClip),
    cClip: ratioBound('cClip', options.cClip),
    policyGradientRhoClip: ratioBound('policyGradientRhoClip', options.policyGradientRhoClip)
  }
  return callKernel((kernels) => kernels.rlVtrace(rule, checked(input)))
}

/**
 * Retrace(λ) (Munos et al. 2016, arXiv 1606.02647): targets of action values,
 * G_t = r_t + γ (V_{t+1} + c_{t+1} (G_{t+1} − Q_{t+1})), c = λ min(cClip, ratio). With `cClip: null` it is importance
 * sampling; without `logRatios`, Q(λ).
 * @param input `values`: expected action value of the policy in the state before each token; `actionValues`: [tokens],
 *   of the token that was sampled.
 * @param options gamma, lambda: 0 … 1; cClip: at least 0, or null for none. Default: all 1.
 * @returns [tokens]; 0 where the mask is 0.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, values that are not finite, numbers out of range.
 */
export function retrace(
  input: OffPolicyInput & { actionValues: FloatArray },
  options: { gamma?: number; lambda?: number; cClip?: number | null } = {}
): { targets: FloatArray } {
  const rule = {
    gamma: fraction('gamma', options.gamma),
    lambda: fraction('lambda', options.lambda),
    cClip: ratioBound('cClip', options.cClip)
  }
  return callKernel((kernels) => kernels.rlRetrace(rule, checked(input)))
}

/**
 * Upgoing policy update (Vinyals et al. 2019): the return follows the sampled steps while they do at least as well as
 * expected, G_t = r_t + γ (G_{t+1} if r_{t+1} + γ V_{t+2} ≥ V_{t+1}, else V_{t+1}); the advantages are
 * min(rhoClip, ratio) (G_t − V_t).
 * @param options gamma: 0 … 1; rhoClip: at least 0, or null for none. Default: all 1.
 * @returns [tokens] each; 0 where the mask is 0.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, values that are not finite, numbers out of range.
 */
export function upgo(
  input: OffPolicyInput,
  options: { gamma?: number; rhoClip?: number | null } = {}
): { returns: FloatArray; advantages: FloatArray } {
  const rule = { gamma: fraction('gamma', options.gamma), rhoClip: ratioBound('rhoClip', options.rhoClip) }
  return callKernel((kernels) => kernels.rlUpgo(rule, checked(input)))
}
