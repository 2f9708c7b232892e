// Rollout correction: the peers' parameters as our off-policy record.
import { boundaries, counted, flat, maskOf } from './rl-cases.mjs'
import { verlNormaliser } from './rl-losses.mjs'

const verl = { logRatioLimit: 20, countEpsilon: 1e-8 }

/** verl's `lower_upper` or `upper`. */
function band(text) {
  const parts = String(text).split('_').map(Number)
  return parts.length === 2 ? { low: parts[0], high: parts[1] } : { low: null, high: parts[0] }
}

function verlImportance(parameters) {
  if (!parameters.rollout_is) return null
  const { low, high } = band(parameters.rollout_is_threshold)
  return {
    level: parameters.rollout_is,
    low,
    high,
    outside: low === null ? 'clip' : 'zero',
    normalize: parameters.rollout_is_batch_normalize ?? false
  }
}

/** Its k1 options take ratios of rollout to training, whose logarithm k1 is; one number is the upper of a pair. */
function verlCriterion(option, threshold) {
  const statistic = option.slice(-2)
  const level = option.slice(0, -3).replace('seq_', 'sequence_')
  const { low, high } = band(threshold)
  if (statistic !== 'k1') return { statistic, level, low, high }
  return { statistic, level, low: Math.log(low ?? 1 / high), high: Math.log(high) }
}

function verlCriteria(parameters) {
  const options = parameters.rollout_rs?.split(',') ?? []
  const thresholds = parameters.rollout_rs_threshold?.split(',') ?? []
  return options.map((option, index) => verlCriterion(option, thresholds[index]))
}

function rollout(inputs, logProbs) {
  return {
    logProbs: flat(logProbs),
    rolloutLogProbs: flat(inputs.rollout_log_probs),
    mask: maskOf(inputs.mask),
    cuSeqlens: boundaries(inputs.mask.length, inputs.mask[0].length)
  }
}

/** Our rejection metrics under verl's names. */
function rejectionMetrics(metrics, parameters) {
  const named = { ...metrics }
  verlCriteria(parameters).forEach((_, index) => {
    const option = parameters.rollout_rs.split(',')[index]
    for (const [name, value] of Object.entries(metrics.criteria[index])) named[`rollout_rs_${option}_${name}`] = value
  })
  return named
}

function verlCase({ source, parameters, inputs, outputs }) {
  return (library) => {
    const input = rollout(inputs, inputs.old_log_probs)
    const spec = library.resolveOffPolicy({
      ...verl,
      importance: verlImportance(parameters),
      rejection: verlCriteria(parameters)
    })
    const values = []
    const measured = {}
    if (spec.importance) {
      const result = library.importanceWeights(spec, input)
      values.push(['weights', result.weights, outputs.weights.flat()])
      Object.assign(measured, result.metrics)
    }
    if (spec.rejection.length > 0) {
      const result = library.rejectionMask(spec, input)
      values.push(['mask', result.mask, outputs.mask.flat()])
      Object.assign(measured, rejectionMetrics(result.metrics, parameters))
    }
    const mismatch = source.includes('correction_and_rejection') || source.includes('offpolicy_metrics')
    if (mismatch) Object.assign(measured, library.mismatchMetrics(input))
    const metrics = Object.entries(outputs.metrics).map(([name, expected]) => {
      return [name, measured[name.replace('rollout_corr/', '')], expected]
    })
    return { values, metrics }
  }
}

function trlWeightsCase({ parameters, inputs, outputs }) {
  const [level, outside] = parameters.vllm_importance_sampling_mode.split('_')
  return ({ importanceWeights, mismatchMetrics, resolveOffPolicy }) => {
    const spec = resolveOffPolicy({
      missing: 'ratio_one',
      importance: {
        level,
        outside: outside === 'mask' ? 'zero' : 'clip',
        low: parameters.vllm_importance_sampling_clip_min,
        high: parameters.vllm_importance_sampling_clip_max
      }
    })
    const input = rollout(inputs, inputs.old_log_probs)
    const result = importanceWeights(spec, input)
    const measured = { ...result.metrics, ...mismatchMetrics(input) }
    return {
      values: [
        level === 'sequence'
          ? ['weights', result.sequenceWeights, outputs.weights.flat()]
          : ['weights', counted(result.weights, input.mask), counted(outputs.weights.flat(), input.mask)]
      ],
      metrics: Object.entries(outputs.metrics).map(([name, expected]) => [name, measured[name], expected])
    }
  }
}

function trlGammaCase({ parameters, inputs, outputs }) {
  return ({ gammaWeights }) => {
    const weights = gammaWeights(
      {
        shapePositive: parameters.k_pos,
        ratePositive: parameters.lambda_pos,
        shapeNegative: parameters.k_neg,
        rateNegative: parameters.lambda_neg
      },
      {
        logProbs: flat(inputs.log_probs),
        oldLogProbs: flat(inputs.old_log_probs),
        advantages: Float64Array.from(inputs.advantages),
        mask: maskOf(inputs.mask),
        cuSeqlens: boundaries(inputs.mask.length, inputs.mask[0].length)
      }
    )
    return { values: [['weights', weights, outputs.weights.flat()]] }
  }
}

function trlMaskCase({ parameters, inputs, outputs }) {
  return ({ rejectionMask, resolveOffPolicy }) => {
    const high = parameters.off_policy_mask_threshold
    const criterion = { statistic: 'k1', level: 'sequence_mean', high, onlyNegative: true }
    const result = rejectionMask(resolveOffPolicy({ missing: 'ratio_one', rejection: [criterion] }), {
      ...rollout(inputs, inputs.log_probs),
      advantages: Float64Array.from(inputs.advantages)
    })
    return { values: [['keep', result.keep, outputs.keep.flat()]] }
  }
}

function openrlhfImportance(parameters) {
  const { is_correction_level: level, is_correction_mode: mode, is_correction_gating: gating } = parameters
  const [low, high] = parameters.is_correction_threshold
  const statistic = { ratio: 'weight', binary_kl: 'binary_kl', tv: 'total_variation' }[gating]
  const rowStatistic = { ratio: 'geometric_mean', binary_kl: 'binary_kl_mean', tv: 'total_variation_mean' }[gating]
  const gate = level === 'seq' ? rowStatistic : statistic
  return { level: 'token', gate, outside: mode === 'mask' ? 'zero' : 'clip', low, high }
}

/** The correction's weights through the policy loss; GSPO takes the rollout's log-probs as the old ones instead. */
function openrlhfCase({ parameters, inputs, outputs }) {
  return (library) => {
    const gspo = parameters.loss === 'gspo'
    const { record, input: normaliser } = verlNormaliser(
      parameters.token_level_loss ? 'token-mean' : 'seq-mean-token-mean',
      parameters,
      inputs.mask
    )
    const batch = rollout(inputs, inputs.old_log_probs)
    const importance = gspo ? null : openrlhfImportance(parameters)
    const spec = library.resolveOffPolicy({ oldLogProbs: gspo ? 'rollout' : 'recomputed', importance })
    const correction = spec.importance ? library.importanceWeights(spec, batch) : undefined
    const algorithm = library.resolveAlgorithm({
      ...record,
      tokenEpsilon: 1e-8,
      countEmptyRows: false,
      ratio: gspo ? 'sequence' : 'token',
      loss: {
        clipLow: parameters.clip_eps_low,
        clipHigh: parameters.clip_eps_high,
        dualClip: parameters.dual_clip,
        ...(gspo ? {} : { logRatioLow: -20, logRatioHigh: 20 })
      }
    })
    const result = library.policyLoss(algorithm, {
      logProbs: flat(inputs.log_probs),
      oldLogProbs: spec.oldLogProbs === 'rollout' ? batch.rolloutLogProbs : batch.logProbs,
      importanceWeights: correction?.weights,
      advantages: Float64Array.from(inputs.advantages),
      mask: batch.mask,
      cuSeqlens: batch.cuSeqlens,
      ...normaliser
    })
    // ppo_kl is towards the recomputed log-probs, whatever the loss takes as old ones.
    const drift = library.mismatchMetrics({
      ...batch,
      logProbs: flat(inputs.log_probs),
      rolloutLogProbs: batch.logProbs
    })
    const measured = {
      // A share of tokens there, of completions here, for a sequence's ratio.
      ...(gspo ? {} : { clip_ratio: result.metrics['clip_ratio/region_mean'] }),
      ppo_kl: drift.kl,
      rollout_kl: library.mismatchMetrics(batch).kl,
      filter_ratio: correction?.metrics.filter_ratio
    }
    return {
      values: [
        ['loss', result.loss, outputs.loss],
        ['grad_log_probs', result.logProbGradients, outputs.grad_log_probs.flat()]
      ],
      metrics: Object.entries(outputs.metrics)
        .filter(([name]) => name in measured)
        .map(([name, expected]) => [name, measured[name], expected])
    }
  }
}

export function mapOffPolicyCase(golden) {
  const { source } = golden
  if (source.startsWith('verl')) return verlCase(golden)
  if (source.startsWith('openrlhf')) return openrlhfCase(golden)
  if (source.includes('get_gamma_weights')) return trlGammaCase(golden)
  return source.includes('get_off_policy_mask') ? trlMaskCase(golden) : trlWeightsCase(golden)
}
