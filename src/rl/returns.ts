/** Returns and advantages of sequences with a critic: GAE, V-trace, Retrace, UPGO, over packed ragged arrays. */
import { AdjudgeError } from '../errors.js'
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import type { RlKernels } from './native.js'
import { checkOptions } from './nearest.js'
import { preparedCall, type AsyncOptions, type Bound, type DeviceOptions, type Prepared } from './prepared.js'
import { recent } from './recent.js'
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
  /**
   * [tokens]: log-prob under the policy − log-prob under the policy that sampled. Default: 0, the same policy. Beyond
   * −708 and 709 they count as these.
   */
  logRatios?: FloatArray
}

export interface GaeOptions extends DeviceOptions {
  /** 0 … 1, default 1. */
  gamma?: number
  /** 0 … 1, default 1. */
  lambda?: number
  /** A masked token is no step (`skip`, verl; the default), or one whose reward and value are 0 (`through`, OpenRLHF). */
  maskedReturn?: 'skip' | 'through'
}

export interface VtraceOptions extends DeviceOptions {
  /** 0 … 1, default 1. */
  gamma?: number
  /** 0 … 1, default 1. */
  lambda?: number
  /** Bounds of the ratios: at least 0, or null for none. Default: 1. */
  rhoClip?: number | null
  cClip?: number | null
  policyGradientRhoClip?: number | null
}

export interface RetraceOptions extends DeviceOptions {
  /** 0 … 1, default 1. */
  gamma?: number
  /** 0 … 1, default 1. */
  lambda?: number
  /** Bound of the ratios: at least 0, or null for none. Default: 1. */
  cClip?: number | null
}

export interface UpgoOptions extends DeviceOptions {
  /** 0 … 1, default 1. */
  gamma?: number
  /** Bound of the ratios: at least 0, or null for none. Default: 1. */
  rhoClip?: number | null
}

/** Results by name, [tokens] each; `out` of the input names the same: where they go, element type of `rewards`. */
type Arrays<Name extends string> = Record<Name, FloatArray>
type WithOut<Input, Name extends string> = Input & { out?: Partial<Arrays<Name>> }

/** A call on sequences in its three forms: at once, as a promise, and prepared for a loop. */
export interface ReturnsCall<Options, Input, Name extends string> {
  (input: WithOut<Input, Name>, options?: Options): Arrays<Name>
  /** The same on the engine's threads, see {@link Prepared.async}. */
  async(input: WithOut<Input, Name>, options?: Options & AsyncOptions): Promise<Arrays<Name>>
  /** Validates and reads the options once. */
  prepare(options?: Options): Prepared<WithOut<Input, Name>, Arrays<Name>>
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

function skipsMasked(value: GaeOptions['maskedReturn'] = 'skip'): boolean {
  if (value === 'skip' || value === 'through') return value === 'skip'
  throw new AdjudgeError('ARGUMENT_INVALID', `maskedReturn is ${String(value)}, expected skip or through`)
}

type Place = 'rewards' | 'values' | 'actionValues' | 'logRatios'

/** The arrays of a call by position: one per token, those of the sequences, and the results. */
function bindReturns<Name extends string>(
  places: readonly Place[],
  names: readonly Name[],
  input: WithOut<OffPolicyInput & { actionValues?: FloatArray }, Name>
): Bound<Arrays<Name>> {
  const { rewards, cuSeqlens, mask, bootstrapValues, out } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  const values: unknown[] = []
  for (const name of places) {
    const given = input[name]
    checkLength(name, given, tokens, 'one per token')
    values.push(given && sameType(given, rewards))
  }
  checkLength('mask', mask, tokens, 'one per token')
  checkLength('bootstrapValues', bootstrapValues, cuSeqlens.length - 1, 'one per sequence')
  values.push(cuSeqlens, mask, bootstrapValues && sameType(bootstrapValues, rewards))
  const output = {} as Arrays<Name>
  for (const name of names) {
    output[name] = out?.[name] ?? zeros(tokens, rewards)
    values.push(output[name])
  }
  return { values, output }
}

/**
 * @param known the options that there are beside the device.
 * @param rule checks the options and gives the record that the addon reads.
 */
function returnsCall<Options extends DeviceOptions, Input extends OffPolicyInput, Name extends string>(
  kernel: 'rlGae' | 'rlVtrace' | 'rlRetrace' | 'rlUpgo',
  places: readonly Place[],
  names: readonly Name[],
  known: readonly (keyof Options & string)[],
  rule: (options: Options) => object
): ReturnsCall<Options, Input, Name> {
  const prepare = (options: Options): Prepared<WithOut<Input, Name>, Arrays<Name>> => {
    checkOptions(options, [...known, 'device', 'signal'])
    const record = { ...rule(options), device: options.device }
    const native = callKernel((kernels: RlKernels) => kernels[kernel](record))
    return preparedCall(
      native,
      0,
      (input) => bindReturns(places, names, input),
      (output) => output
    )
  }
  const none = {} as Options
  const plain = recent(prepare)
  return Object.assign((input: WithOut<Input, Name>, options: Options = none) => plain(options)(input), {
    async: async (input: WithOut<Input, Name>, options?: Options & AsyncOptions) => {
      const { signal, ...rule } = options ?? ({} as Options & AsyncOptions)
      return plain(rule as unknown as Options).async(input, { signal })
    },
    prepare: (options: Options = none) => prepare(options)
  })
}

const offPolicyPlaces = ['rewards', 'values', 'logRatios'] as const

/**
 * Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438):
 * A_t = δ_t + γλ A_{t+1} with δ_t = r_t + γ V_{t+1} − V_t; returns are A_t + V_t, the critic's targets.
 * @returns `advantages` and `returns`, [tokens] each; 0 where the mask is 0.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree, values that are not finite, numbers out of range;
 *   `BUFFER_OVERLAP`, `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used; those of {@link DeviceOptions}.
 */
export const gae: ReturnsCall<GaeOptions, SequenceInput, 'advantages' | 'returns'> = returnsCall(
  'rlGae',
  ['rewards', 'values'],
  ['advantages', 'returns'],
  ['gamma', 'lambda', 'maskedReturn'],
  (options) => ({
    gamma: fraction('gamma', options.gamma),
    lambda: fraction('lambda', options.lambda),
    skipMasked: skipsMasked(options.maskedReturn)
  })
)

/**
 * V-trace (Espeholt et al. 2018, arXiv 1802.01561), with the λ of RLax: the targets are
 * v_t = V_t + Σ_{s≥t} γ^{s−t} (Π_{t≤i<s} c_i) ρ_s (r_s + γ V_{s+1} − V_s), ρ = min(rhoClip, ratio),
 * c = λ min(cClip, ratio); the advantages min(policyGradientRhoClip, ratio) (r_t + γ (λ v_{t+1} + (1−λ) V_{t+1}) − V_t).
 * @returns `targets` and `advantages`, [tokens] each; 0 where the mask is 0.
 * @throws AdjudgeError as {@link gae}; `ARGUMENT_INVALID` too where ratios without a bound exceed the element type.
 */
export const vtrace: ReturnsCall<VtraceOptions, OffPolicyInput, 'targets' | 'advantages'> = returnsCall(
  'rlVtrace',
  offPolicyPlaces,
  ['targets', 'advantages'],
  ['gamma', 'lambda', 'rhoClip', 'cClip', 'policyGradientRhoClip'],
  (options) => ({
    gamma: fraction('gamma', options.gamma),
    lambda: fraction('lambda', options.lambda),
    rhoClip: ratioBound('rhoClip', options.rhoClip),
    cClip: ratioBound('cClip', options.cClip),
    policyGradientRhoClip: ratioBound('policyGradientRhoClip', options.policyGradientRhoClip)
  })
)

export interface RetraceInput extends OffPolicyInput {
  /** [tokens]: action value of the token that was sampled. */
  actionValues: FloatArray
}

/**
 * Retrace(λ) (Munos et al. 2016, arXiv 1606.02647): targets of action values,
 * G_t = r_t + γ (V_{t+1} + c_{t+1} (G_{t+1} − Q_{t+1})), c = λ min(cClip, ratio). With `cClip: null` it is importance
 * sampling; without `logRatios`, Q(λ). `values` are the policy's expected action values in the state before each token.
 * @returns `targets`, [tokens]; 0 where the mask is 0.
 * @throws AdjudgeError as {@link vtrace}.
 */
export const retrace: ReturnsCall<RetraceOptions, RetraceInput, 'targets'> = returnsCall(
  'rlRetrace',
  ['rewards', 'values', 'actionValues', 'logRatios'],
  ['targets'],
  ['gamma', 'lambda', 'cClip'],
  (options) => ({
    gamma: fraction('gamma', options.gamma),
    lambda: fraction('lambda', options.lambda),
    cClip: ratioBound('cClip', options.cClip)
  })
)

/**
 * Upgoing policy update (Vinyals et al. 2019): the return follows the sampled steps while they do at least as well as
 * expected, G_t = r_t + γ (G_{t+1} if r_{t+1} + γ V_{t+2} ≥ V_{t+1}, else V_{t+1}); the advantages are
 * min(rhoClip, ratio) (G_t − V_t).
 * @returns `returns` and `advantages`, [tokens] each; 0 where the mask is 0.
 * @throws AdjudgeError as {@link vtrace}.
 */
export const upgo: ReturnsCall<UpgoOptions, OffPolicyInput, 'returns' | 'advantages'> = returnsCall(
  'rlUpgo',
  offPolicyPlaces,
  ['returns', 'advantages'],
  ['gamma', 'rhoClip'],
  (options) => ({ gamma: fraction('gamma', options.gamma), rhoClip: ratioBound('rhoClip', options.rhoClip) })
)
