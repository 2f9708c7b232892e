/** Corrections for completions of another policy than the one that is trained, as data. */
import { Type, type Static } from '@sinclair/typebox'
import { invalidRecord, resolveRecord, type RecordKind } from './record.js'
import type { Partially } from './types.js'
import { bound, strict, words } from './schema.js'

const importance = Type.Object(
  {
    level: words(
      ['token', 'sequence'],
      'A weight per token, or the product of the completion’s for each of its tokens.'
    ),
    gate: words(
      ['weight', 'geometric_mean', 'binary_kl', 'binary_kl_mean', 'total_variation', 'total_variation_mean'],
      'What low and high bound: the weight itself, the geometric mean of the completion’s ratios, KL or total variation ' +
        'of (token, any other token) per token or as the completion’s mean.'
    ),
    outside: words(['clip', 'zero'], 'Beyond a bound the weight is the bound (TIS), or 0 (MIS, IcePop).'),
    low: bound('Lower bound; null = none.'),
    high: bound('Upper bound; null = none.'),
    normalize: Type.Boolean({ description: 'Divide by the mean weight of the batch.' })
  },
  strict
)

const criterion = Type.Object(
  {
    statistic: words(
      ['ratio', 'k1', 'k2', 'k3', 'binary_kl', 'total_variation'],
      'Per token, r = probability in training / in the rollout: r (summed and averaged as its logarithm), −log r, ' +
        '(log r)²/2, r − 1 − log r, the larger of both binary KL, total variation.'
    ),
    level: words(
      ['token', 'sequence_sum', 'sequence_mean', 'sequence_max'],
      'Tokens are judged one by one, or completions by the sum, mean or maximum of their tokens.'
    ),
    low: bound('Rejected below it; null = no bound.'),
    high: bound('Rejected above it; null = no bound.'),
    onlyNegative: Type.Boolean({ description: 'Completions whose advantage is at least 0 are kept (OPSM).' })
  },
  strict
)

/** TypeBox schema of an {@link OffPolicySpec} (camelCase keys; YAML writes the same keys in snake_case). */
export const offPolicySchema = Type.Object(
  {
    preset: Type.String({ description: 'Name of the preset that the record came from.' }),
    oldLogProbs: words(
      ['recomputed', 'rollout'],
      'Denominator of the policy ratio: log-probs recomputed before the update, or those of the rollout (bypass), where ' +
        'weights and rejection compare the policy being trained with the rollout.'
    ),
    importance: Type.Union([importance, Type.Null()], { description: 'Weights; null = none.' }),
    rejection: Type.Array(criterion, { description: 'Criteria that all have to be met; none = nothing is rejected.' }),
    logRatioLimit: Type.Union([Type.Number({ exclusiveMinimum: 0 }), Type.Null()], {
      description: 'Log ratios are kept within ± this before exp and before rejection; null = as they are.'
    }),
    missing: words(['error', 'ratio_one'], 'A NaN among the rollout’s log-probs: an error, or a ratio of 1 (TRL).'),
    countEpsilon: Type.Number({ minimum: 0, description: 'Added to the divisor of each mean (verl: 1e-8).' })
  },
  strict
)

/** Importance weights and rejection, complete. Built by {@link resolveOffPolicy}. */
export type OffPolicySpec = Static<typeof offPolicySchema>

/** A preset's name, or a record that changes fields of one (default `off`). */
export type OffPolicyOptions = string | Partially<OffPolicySpec> | Record<string, unknown>

const verl = { logRatioLimit: 20, countEpsilon: 1e-8 } as const
const truncated = { level: 'token', outside: 'clip', high: 2 } as const
const truncatedSequence = { level: 'sequence', outside: 'clip', high: 2 } as const
const icepop = { level: 'token', outside: 'zero', low: 0.5, high: 5 } as const
// verl's k1 bands are ratios of rollout to training; k1 is the logarithm of that.
const product = { statistic: 'k1', level: 'sequence_sum', low: Math.log(0.5), high: Math.log(2) } as const
const geometric = { statistic: 'k1', level: 'sequence_mean', low: Math.log(0.999), high: Math.log(1.001) } as const
const k3 = { statistic: 'k3', level: 'sequence_mean', high: 0.01 } as const
const bypass = { ...verl, oldLogProbs: 'rollout' } as const
const trl = { missing: 'ratio_one' } as const

/** Fields that differ from `off`, by preset. The `verl_bypass_pg` ones go with a loss of kind policy_gradient. */
const presets = {
  off: {},
  verl_decoupled_token_is: { ...verl, importance: truncated },
  verl_decoupled_seq_is: { ...verl, importance: truncatedSequence },
  verl_decoupled_token_icepop: { ...verl, importance: icepop },
  verl_decoupled_seq_is_rs: { ...verl, importance: truncatedSequence, rejection: [product] },
  verl_decoupled_geo_rs: { ...verl, rejection: [geometric] },
  verl_decoupled_geo_rs_seq_tis: { ...verl, importance: truncatedSequence, rejection: [geometric] },
  verl_decoupled_geo_rs_token_tis: { ...verl, importance: truncated, rejection: [geometric] },
  verl_decoupled_k3_rs: { ...verl, rejection: [k3] },
  verl_decoupled_k3_rs_seq_tis: { ...verl, importance: truncatedSequence, rejection: [k3] },
  verl_decoupled_k3_rs_token_tis: { ...verl, importance: truncated, rejection: [k3] },
  verl_bypass_ppo_clip: bypass,
  verl_bypass_ppo_clip_geo_rs: { ...bypass, rejection: [geometric] },
  verl_bypass_ppo_clip_k3_rs: { ...bypass, rejection: [k3] },
  verl_bypass_pg_is: { ...bypass, importance: truncatedSequence },
  verl_bypass_pg_token_icepop: { ...bypass, importance: icepop },
  verl_bypass_pg_geo_rs: { ...bypass, rejection: [geometric] },
  verl_bypass_pg_geo_rs_seq_tis: { ...bypass, importance: truncatedSequence, rejection: [geometric] },
  verl_bypass_pg_geo_rs_token_tis: { ...bypass, importance: truncated, rejection: [geometric] },

  trl_token_truncate: { ...trl, importance: { level: 'token', outside: 'clip', high: 3 } },
  trl_token_mask: { ...trl, importance: { level: 'token', outside: 'zero', high: 3 } },
  trl_sequence_truncate: { ...trl, importance: { level: 'sequence', outside: 'clip', high: 3 } },
  // TRL's default.
  trl_sequence_mask: { ...trl, importance: { level: 'sequence', outside: 'zero', high: 3 } },
  // Off-policy sequence masking of DeepSeek-V3.2; the threshold of slime.
  opsm: {
    ...trl,
    rejection: [{ statistic: 'k1', level: 'sequence_mean', high: 1e-4, onlyNegative: true }]
  },

  openrlhf_token_clip: { importance: { level: 'token', outside: 'clip', low: 0.5, high: 5 } },
  // OpenRLHF's default where its correction is on.
  openrlhf_token_mask: { importance: icepop },
  openrlhf_seq_mask: { importance: { ...icepop, gate: 'geometric_mean' } },
  // FlashREINFORCE's sequence trust region.
  openrlhf_seq_binary_kl: { importance: { ...icepop, gate: 'binary_kl_mean', low: null, high: 5e-3 } }
} as const

/** Names of all off-policy presets. */
export const offPolicyPresetNames = Object.keys(presets)

const kind: RecordKind<typeof offPolicySchema> = {
  kind: 'off_policy',
  schema: offPolicySchema,
  base: {
    preset: 'off',
    oldLogProbs: 'recomputed',
    importance: null,
    rejection: [],
    logRatioLimit: null,
    missing: 'error',
    countEpsilon: 0
  },
  presets,
  parts: {
    importance: { level: 'token', gate: 'weight', outside: 'clip', low: null, high: null, normalize: false },
    rejection: { statistic: 'k3', level: 'token', low: null, high: null, onlyNegative: false }
  }
}

const invalid = (message: string) => invalidRecord('off_policy', message)

function checkBounds(path: string, bounds: { low: number | null; high: number | null }): void {
  if (bounds.low !== null && bounds.high !== null && bounds.low > bounds.high) {
    throw invalid(`"${path}.low" is above "${path}.high"`)
  }
}

/**
 * Completes and validates a correction.
 * @throws AdjudgeError `ALGORITHM_INVALID` for an unknown preset, key or value, with the nearest valid name, and for
 *   combinations without a meaning.
 */
export function resolveOffPolicy(options: OffPolicyOptions): OffPolicySpec {
  const spec = resolveRecord(kind, options)
  if (spec.importance) {
    checkBounds('importance', spec.importance)
    if (spec.importance.outside === 'clip' && spec.importance.gate !== 'weight') {
      throw invalid('"importance.outside" clip moves the weight to its bound, so "importance.gate" must be weight')
    }
  }
  spec.rejection.forEach((criterion, index) => {
    const path = `rejection.${index}`
    checkBounds(path, criterion)
    if (criterion.low === null && criterion.high === null) throw invalid(`"${path}" rejects nothing: give low or high`)
    const { low, high, statistic } = criterion
    if (statistic === 'ratio' && ((low !== null && low <= 0) || (high !== null && high <= 0))) {
      throw invalid(`"${path}" bounds a ratio: low and high must be above 0`)
    }
  })
  return spec
}
