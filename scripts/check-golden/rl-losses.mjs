// Policy losses and KL: the peers' parameters as our records.
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
function verlNormaliser(mode, parameters, mask) {
  const share = parameters.dp_size ?? 1
  const tokens = (parameters.batch_num_tokens ?? sum(mask.flat())) / share
  const rows = mask.filter((row) => row.some(Boolean)).length
  const sequences = (parameters.global_batch_size ?? rows) / share
  return {
    record: {
      aggregation: verlAggregation[mode],
      constant: parameters.loss_scale_factor ?? mask[0].length,
      tokenEpsilon: 1e-8,
      countEmptyRows: false
    },
    input: { batchTokens: tokens, batchSequences: sequences }
  }
}

const verlLosses = {
  vanilla: (p) => ({
    loss: { dualClip: p.clip_ratio_c, logRatioLow: -20, logRatioHigh: 20 }
  }),
  gspo: () => ({ ratio: 'sequence', loss: { ratioGradient: 'own_token', logRatioHigh: 10 } }),
  gpg: () => ({ loss: { kind: 'policy_gradient' } })
}

function verlCase(golden) {
  const { parameters, inputs } = golden
  const specific = verlLosses[parameters.loss]?.(parameters)
  if (!specific) return undefined
  const clip = { clipLow: parameters.clip_ratio_low ?? 0.2, clipHigh: parameters.clip_ratio_high ?? 0.2 }
  const { record, input } = verlNormaliser(parameters.loss_agg_mode, parameters, inputs.mask)
  const scale = parameters.loss_agg_mode === 'token-sum' ? (parameters.dp_size ?? 1) : 1
  return lossRun(golden, { ...specific, ...record, loss: { ...clip, ...specific.loss } }, input, scale)
}

const trlAggregation = { grpo: 'sequence_mean_token_mean', bnpo: 'token_mean', dapo: 'token_mean', dr_grpo: 'constant' }

function trlCase(golden) {
  const { parameters, inputs } = golden
  const { loss } = parameters
  if (loss === 'rloo') return trlRlooCase(golden)
  const aggregation = golden.source.includes('GRPOTrainer') ? trlAggregation[loss] : undefined
  if (!aggregation || parameters.top_entropy_quantile < 1 || parameters.off_policy_mask_threshold !== null) {
    return undefined
  }
  const accumulation = parameters.mode === 'train' ? parameters.gradient_accumulation_steps : 1
  const tokens = loss === 'dapo' ? dapoTokens(parameters) : Math.max(1, sum(inputs.mask.flat())) * accumulation
  const record = {
    ratio: parameters.importance_sampling_level,
    loss: {
      clipLow: parameters.epsilon_low,
      clipHigh: parameters.epsilon_high,
      ratioCap: parameters.delta
    },
    kl: { coefficient: parameters.beta, ratioWeighted: parameters.use_bias_correction_kl ?? false },
    entropy: { coefficient: parameters.entropy_coef },
    aggregation,
    constant: parameters.max_completion_length ?? null,
    countEmptyRows: true
  }
  return lossRun(golden, record, { batchTokens: tokens, batchSequences: inputs.mask.length * accumulation })
}

function dapoTokens(parameters) {
  const tokens = parameters.num_items_in_batch / parameters.num_processes
  if (parameters.mode !== 'train') return tokens
  return (tokens * parameters.gradient_accumulation_steps) / parameters.steps_per_generation
}

function trlRlooCase(golden) {
  const { parameters } = golden
  const record = {
    ratio: 'sequence_sum',
    loss: { clipLow: parameters.epsilon_low, clipHigh: parameters.epsilon_high },
    aggregation: 'sequence_mean',
    countEmptyRows: true
  }
  return lossRun(golden, record, {})
}

function openrlhfCase(golden) {
  const { parameters, inputs } = golden
  if (parameters.is_correction_level !== 'off') return undefined
  const mode = parameters.token_level_loss ? 'token-mean' : 'seq-mean-token-mean'
  const { record, input } = verlNormaliser(mode, parameters, inputs.mask)
  const gspo = parameters.loss === 'gspo'
  const loss = {
    clipLow: parameters.clip_eps_low,
    clipHigh: parameters.clip_eps_high,
    dualClip: parameters.dual_clip,
    ...(gspo ? {} : { logRatioLow: -20, logRatioHigh: 20 })
  }
  return lossRun(golden, { ratio: gspo ? 'sequence' : 'token', loss, ...record }, input)
}

/** A weight per token; a weight per row is spread over its tokens. */
function perToken(rows, tokens) {
  return rows && flat(rows.map((row) => (row.length === tokens ? row : Array.from({ length: tokens }, () => row[0]))))
}

/** `scale`: verl multiplies a sum by the number of its processes, which then take the mean of their gradients. */
function lossRun({ inputs, outputs }, record, normaliser, scale = 1) {
  return ({ resolveAlgorithm, policyLoss }) => {
    const rows = inputs.log_probs.length
    const tokens = inputs.log_probs[0].length
    const advantagesPerToken = Array.isArray(inputs.advantages[0])
    const result = policyLoss(resolveAlgorithm({ preset: 'grpo', ...record }), {
      logProbs: flat(inputs.log_probs),
      oldLogProbs: flat(inputs.old_log_probs ?? inputs.log_probs),
      referenceLogProbs: inputs.ref_log_probs && flat(inputs.ref_log_probs),
      entropies: inputs.entropies && flat(inputs.entropies),
      importanceWeights: perToken(inputs.importance_sampling_ratio ?? inputs.rollout_is_weights, tokens),
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
    const metrics = ['clip_ratio/low_mean', 'clip_ratio/high_mean', 'clip_ratio/region_mean', 'kl', 'entropy']
      .filter((name) => name in (outputs.metrics ?? {}) && result.metrics[name] !== undefined)
      .filter((name) => name !== 'entropy' || inputs.entropies)
      .filter((name) => name !== 'kl' || inputs.ref_log_probs)
      .map((name) => [name, result.metrics[name], outputs.metrics[name]])
    return { values, metrics }
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
    return lossRun({ inputs: zero, outputs }, { ...record, kl: { ...kl, coefficient: 1 } }, input)
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
