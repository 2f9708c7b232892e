// Policy losses and KL: the peers' parameters as our records.
import { lossMetrics } from './rl-loss-metrics.mjs'
import { boundaries, flat, maskOf } from './rl-cases.mjs'

const sum = (values) => values.reduce((total, value) => total + value, 0)

const verlAggregation = {
  'token-mean': 'token_mean',
  'token-sum': 'token_sum',
  'seq-mean-token-sum': 'sequence_mean_token_sum',
  'seq-mean-token-mean': 'sequence_mean_token_mean',
  'seq-mean-token-sum-norm': 'constant'
}

/** verl's agg_loss and OpenRLHF's aggregate_loss. */
export function verlNormaliser(mode, parameters, mask) {
  const share = parameters.dp_size ?? 1
  const tokens = (parameters.batch_num_tokens ?? sum(mask.flat())) / share
  const rows = mask.filter((row) => row.some(Boolean)).length
  const sequences = (parameters.global_batch_size ?? rows) / share
  return {
    record: { aggregation: verlAggregation[mode], constant: parameters.loss_scale_factor ?? mask[0].length },
    input: { batchTokens: tokens, batchSequences: sequences }
  }
}

/** Our preset of each of verl's losses, and what its parameters change of it. */
const verlLosses = {
  vanilla: (p) => ({ preset: 'verl_grpo', loss: { dualClip: p.clip_ratio_c } }),
  gspo: () => ({ preset: 'verl_gspo' }),
  gpg: () => ({ preset: 'verl_gpg' }),
  cispo: () => ({ preset: 'verl_cispo' }),
  sapo: (p) => ({
    preset: 'verl_sapo',
    loss: { temperaturePositive: p.tau_pos, temperatureNegative: p.tau_neg }
  }),
  dppo_tv: (p) => ({ preset: 'verl_dppo_tv', loss: { ratioCap: p.clip_ratio_c } }),
  dppo_kl: (p) => ({ preset: 'verl_dppo_kl', loss: { ratioCap: p.clip_ratio_c } }),
  dro: (p) => ({ preset: 'verl_dro', loss: { quadraticCoefficient: p.dro_beta } }),
  geo_mean: () => ({ preset: 'verl_gmpo' }),
  kl_cov: (p) => ({
    preset: 'verl_kl_cov',
    loss: { covariance: { share: p.kl_cov_ratio, klCoefficient: p.ppo_kl_coef } }
  }),
  clip_cov: (p) => ({
    preset: 'verl_clip_cov',
    loss: { covariance: { share: p.clip_cov_ratio, low: p.clip_cov_lb, high: p.clip_cov_ub } }
  }),
  bypass_mode: (p) => verlBypass(p.rollout_correction, p.clip_ratio_c)
}

/** The old log-probs are the rollout's: its REINFORCE is weighted by the ratio up to a threshold. */
function verlBypass({ loss_type, rollout_is, rollout_is_threshold, rollout_rs_threshold }, dualClip) {
  // Its band is of the inverse ratio.
  const [lower, upper] = rollout_rs_threshold?.split('_').map(Number) ?? []
  const band = lower ? { keepRatioLow: 1 / upper, keepRatioHigh: 1 / lower } : {}
  if (loss_type === 'ppo_clip') return { preset: 'verl_grpo', loss: { ...band, dualClip } }
  if (!rollout_is) return { preset: 'verl_gpg', loss: band }
  const ratio = rollout_is === 'sequence' ? 'sequence_sum' : 'token'
  const bounds = { clipLow: null, clipHigh: null, ratioCap: rollout_is_threshold }
  return { preset: 'verl_bypass_reinforce', ratio, loss: { ...band, ...bounds } }
}

function verlCase(golden) {
  const { parameters, inputs } = golden
  const specific = verlLosses[parameters.loss]?.(parameters)
  if (!specific) return undefined
  const { clip_ratio_low: clipLow, clip_ratio_high: clipHigh, loss_agg_mode: mode } = parameters
  const { record, input } = verlNormaliser(mode, parameters, inputs.mask)
  const scale = mode === 'token-sum' ? (parameters.dp_size ?? 1) : 1
  const loss = { ...(clipLow === undefined ? {} : { clipLow, clipHigh }), ...specific.loss }
  // Without a mode of its own the preset's holds.
  const aggregation = mode ? record : {}
  // The divisors are then of what the band leaves, or of all rows: the library counts them.
  const counted = loss.keepRatioLow || !mode ? {} : input
  return lossRun(golden, { ...specific, ...aggregation, loss }, counted, scale)
}

const trlChanges = {
  cispo: (p) => ({ ratioCap: p.epsilon_high }),
  sapo: (p) => ({ temperaturePositive: p.sapo_temperature_pos, temperatureNegative: p.sapo_temperature_neg }),
  vespo: (p) => ({
    gammaWeight: {
      shapePositive: p.vespo_k_pos,
      ratePositive: p.vespo_lambda_pos,
      shapeNegative: p.vespo_k_neg,
      rateNegative: p.vespo_lambda_neg
    }
  }),
  gmpo: (p) => ({ clipLow: p.epsilon_low, clipHigh: p.epsilon_high })
}

const trlClip = (p) => ({ clipLow: p.epsilon_low, clipHigh: p.epsilon_high, ratioCap: p.delta })
const trlPresets = ['grpo', 'bnpo', 'dapo', 'dr_grpo', 'luspo', 'cispo', 'sapo', 'vespo', 'gmpo']

function trlCase(golden) {
  const { parameters, inputs } = golden
  const { loss } = parameters
  if (loss === 'rloo') return trlRlooCase(golden)
  if (!trlPresets.includes(loss)) return undefined
  const accumulation = parameters.mode === 'train' ? parameters.gradient_accumulation_steps : 1
  const counted = Math.max(1, sum(inputs.mask.flat())) * accumulation
  const tokens = parameters.num_items_in_batch === undefined ? counted : itemTokens(parameters)
  const record = {
    preset: `trl_${loss}`,
    ratio: parameters.importance_sampling_level ?? 'token',
    loss: {
      ...(trlChanges[loss] ?? trlClip)(parameters),
      offPolicyThreshold: parameters.off_policy_mask_threshold ?? null
    },
    kl: { coefficient: parameters.beta, ratioWeighted: parameters.use_bias_correction_kl ?? undefined },
    entropy: { coefficient: parameters.entropy_coef ?? 0, topQuantile: parameters.top_entropy_quantile },
    constant: parameters.max_completion_length ?? null
  }
  return lossRun(golden, record, { batchTokens: tokens, batchSequences: inputs.mask.length * accumulation })
}

function itemTokens(parameters) {
  const tokens = parameters.num_items_in_batch / parameters.num_processes
  if (parameters.mode !== 'train') return tokens
  return (tokens * parameters.gradient_accumulation_steps) / parameters.steps_per_generation
}

function trlRlooCase(golden) {
  const { epsilon_low: clipLow, epsilon_high: clipHigh } = golden.parameters
  return lossRun(golden, { preset: 'trl_rloo', loss: { clipLow, clipHigh } }, {})
}

function openrlhfCase(golden) {
  const { parameters, inputs } = golden
  if (parameters.is_correction_level !== 'off') return undefined
  const mode = parameters.token_level_loss ? 'token-mean' : 'seq-mean-token-mean'
  const { record, input } = verlNormaliser(mode, parameters, inputs.mask)
  const preset = parameters.loss === 'gspo' ? 'openrlhf_gspo' : 'openrlhf_group_norm'
  const loss = {
    clipLow: parameters.clip_eps_low,
    clipHigh: parameters.clip_eps_high,
    dualClip: parameters.dual_clip
  }
  return lossRun(golden, { preset, loss, ...record }, input)
}

/** A weight per token; a weight per row is spread over its tokens. */
function perToken(rows, tokens) {
  return rows && flat(rows.map((row) => (row.length === tokens ? row : Array.from({ length: tokens }, () => row[0]))))
}

/** `scale`: verl multiplies a sum by the number of its processes, which then take the mean of their gradients. */
function lossRun(golden, record, normaliser, scale = 1) {
  const { inputs, outputs } = golden
  return ({ resolveAlgorithm, policyLoss }) => {
    const rows = inputs.log_probs.length
    const tokens = inputs.log_probs[0].length
    const advantagesPerToken = Array.isArray(inputs.advantages[0])
    const result = policyLoss(resolveAlgorithm(record), {
      logProbs: flat(inputs.log_probs),
      oldLogProbs: flat(inputs.old_log_probs ?? inputs.log_probs),
      referenceLogProbs: inputs.ref_log_probs && flat(inputs.ref_log_probs),
      entropies: inputs.entropies && flat(inputs.entropies),
      importanceWeights: perToken(inputs.importance_sampling_ratio ?? inputs.rollout_is_weights, tokens),
      rolloutLogProbs: inputs.rollout_log_probs && flat(inputs.rollout_log_probs),
      candidateOrder: inputs.permutation && Int32Array.from(inputs.permutation),
      advantages: flat(inputs.advantages),
      advantagesPerToken,
      mask: maskOf(inputs.mask),
      cuSeqlens: boundaries(rows, tokens),
      ...normaliser
    })
    const values = [
      ['loss', result.loss * scale, outputs.loss],
      ['grad_log_probs', result.logProbGradients.map((value) => value * scale), outputs.grad_log_probs.flat()]
    ]
    if (outputs.grad_entropies && record.entropy?.coefficient > 0) {
      values.push(['grad_entropies', result.entropyGradients, outputs.grad_entropies.flat()])
    }
    return { values, metrics: lossMetrics(golden, result.metrics) }
  }
}

/** A function (library) → { values, metrics }, or undefined where the case's loss is not built. */
export function mapLossCase(golden) {
  if (golden.source.startsWith('verl')) return verlCase(golden)
  if (golden.source.startsWith('trl')) return trlCase(golden)
  return openrlhfCase(golden)
}

const klKinds = { kl: 'k1', k1: 'k1', abs: 'absolute', mse: 'k2', k2: 'k2', low_var_kl: 'k3', k3: 'k3' }

function klRecord({ source, parameters }) {
  const straight = parameters.estimator.endsWith('+')
  const kind = klKinds[parameters.estimator.replace('+', '')]
  if (!kind) return undefined
  if (source.startsWith('verl')) {
    const gradient = straight ? 'unbiased' : 'value'
    return { kind, gradient, differenceLow: -20, differenceHigh: 20, valueLimit: kind === 'k3' ? 10 : null }
  }
  return {
    kind,
    gradient: parameters.unbiased_gradient ? 'unbiased_ratio' : 'value',
    differenceHigh: 10,
    valueLimit: 10
  }
}

/** KL per token; KL as a loss (a policy loss whose advantages are 0). */
export function mapKlCase(golden) {
  const { source, parameters, inputs, outputs } = golden
  if (source.startsWith('trl')) return trlCase(golden)
  if (outputs.raises || !parameters.estimator || !outputs.grad_log_probs) return undefined
  const kl = klRecord(golden)
  if (!kl) return undefined
  if ('loss' in outputs) {
    const mode = parameters.loss_agg_mode ?? (parameters.token_level_loss ? 'token-mean' : 'seq-mean-token-mean')
    const { record, input } = verlNormaliser(mode, parameters, inputs.mask)
    const zero = { ...inputs, advantages: inputs.mask.map(() => 0) }
    const preset = source.startsWith('verl') ? 'verl_grpo' : 'openrlhf_group_norm'
    const inLoss = { ...kl, coefficient: 1, inReward: false }
    return lossRun({ ...golden, inputs: zero }, { preset, ...record, kl: inLoss }, input)
  }
  return ({ resolveAlgorithm, klDivergence }) => {
    const result = klDivergence(resolveAlgorithm({ preset: 'grpo', kl }), {
      logProbs: flat(inputs.log_probs),
      referenceLogProbs: flat(inputs.ref_log_probs),
      oldLogProbs: inputs.old_log_probs && flat(inputs.old_log_probs)
    })
    return {
      values: [
        ['kl', result.values, outputs.kl.flat()],
        ['grad_log_probs', result.gradients, outputs.grad_log_probs.flat()]
      ]
    }
  }
}
