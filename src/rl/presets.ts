/** Named algorithms: each changes some fields of the base record. Formulas and constants are those of the sources. */
import { lossPresets as losses } from './lossPresets.js'
import type { Algorithm, Partially } from './types.js'

/** What every preset starts from: GRPO (Shao et al. 2024, arXiv 2402.03300) with the constants of TRL 1.16. */
export const base: Algorithm = {
  preset: 'grpo',
  advantage: {
    estimator: 'sampled',
    multiObjective: 'sum_then_normalize',
    baseline: 'group',
    scale: 'group',
    epsilon: 1e-4,
    fNorm: 1,
    bessel: true,
    singleton: 'zero',
    rewardClip: null,
    rewardClipPlace: 'before_baseline',
    gamma: 1,
    lambda: 1,
    alignment: 'position',
    zeroTail: true,
    maskedReturn: 'through',
    whitening: null,
    exactWeights: 'softmax'
  },
  ratio: 'token',
  loss: {
    kind: 'clip',
    clipLow: 0.2,
    clipHigh: 0.2,
    dualClip: null,
    ratioCap: null,
    logRatioLow: null,
    logRatioHigh: null,
    ratioGradient: 'joint',
    keepRatioLow: null,
    keepRatioHigh: null,
    offPolicyThreshold: null,
    temperaturePositive: 1,
    temperatureNegative: 1.05,
    gammaWeight: { shapePositive: 2, ratePositive: 3, shapeNegative: 3, rateNegative: 2, maskedImportance: false },
    quadraticCoefficient: 1,
    covariance: { share: 2e-4, low: 1, high: 5, klCoefficient: 1 }
  },
  kl: {
    kind: 'k3',
    coefficient: 0,
    inReward: false,
    perToken: false,
    gradient: 'value',
    ratioWeighted: false,
    differenceLow: null,
    differenceHigh: null,
    valueLimit: null
  },
  entropy: { coefficient: 0, aggregation: 'token_mean', topQuantile: 1 },
  aggregation: 'sequence_mean_token_mean',
  constant: null,
  tokenEpsilon: 0,
  countEmptyRows: true
}

const plainWhitening = { scale: true, bessel: true, epsilon: 1e-8, epsilonRule: 'add', countEpsilon: 0 } as const
const verlWhitening = { scale: true, bessel: true, epsilon: 1e-8, epsilonRule: 'add', countEpsilon: 1e-8 } as const
const openrlhfWhitening = { scale: true, bessel: false, epsilon: 1e-8, epsilonRule: 'floor', countEpsilon: 0 } as const

// KL is weighted by the ratio by default (use_bias_correction_kl).
const trl = { kl: { ratioWeighted: true } } as const

const verlBounded = { logRatioLow: -20, logRatioHigh: 20 } as const
const verlLoss = { ...verlBounded, dualClip: 3 } as const
const verlKl = { differenceLow: -20, differenceHigh: 20, valueLimit: 10 } as const
const verl = {
  entropy: { aggregation: 'as_loss' },
  loss: verlLoss,
  kl: verlKl,
  aggregation: 'token_mean',
  tokenEpsilon: 1e-8,
  countEmptyRows: false
} as const
const verlGroup = { epsilon: 1e-6, singleton: 'reward', maskedReturn: 'skip' } as const

const policyGradient = { loss: { kind: 'policy_gradient' } } as const
const optimalToken = { baseline: 'optimal_token', scale: 'none', epsilon: 1e-8 } as const

const openrlhf = {
  entropy: { aggregation: 'as_loss' },
  loss: { logRatioLow: -20, logRatioHigh: 20 },
  kl: { kind: 'k1', inReward: true, perToken: true, differenceHigh: 10, valueLimit: 10 },
  aggregation: 'token_mean',
  tokenEpsilon: 1e-8,
  countEmptyRows: false
} as const
const openrlhfReward = { rewardClip: [-10, 10], rewardClipPlace: 'after_baseline' } satisfies Partially<
  Algorithm['advantage']
>

/** Fields that differ from {@link base}, by preset. */
export const presets: Record<string, Partially<Algorithm>> = {
  grpo: {},
  // Liu et al. 2025, arXiv 2503.20783: no deviation, a constant divisor.
  dr_grpo: { advantage: { scale: 'none' }, aggregation: 'constant' },
  // Yu et al. 2025, arXiv 2503.14476: higher upper clip, mean over the batch's tokens.
  dapo: { loss: { clipHigh: 0.28 }, aggregation: 'token_mean' },
  // Ahmadian et al. 2024, arXiv 2402.14740.
  rloo: {
    advantage: { baseline: 'leave_one_out', scale: 'none' },
    loss: { kind: 'policy_gradient' },
    aggregation: 'sequence_mean_token_sum'
  },
  reinforce: {
    advantage: { scale: 'none' },
    loss: { kind: 'policy_gradient' },
    aggregation: 'sequence_mean_token_sum'
  },
  // Hu 2025, arXiv 2501.03262: no baseline, k1 in the reward, advantages whitened over the batch's tokens.
  reinforce_plus_plus: {
    advantage: { baseline: 'none', scale: 'none', whitening: openrlhfWhitening },
    kl: { kind: 'k1', inReward: true, perToken: true },
    aggregation: 'token_mean'
  },
  reinforce_plus_plus_baseline: {
    advantage: { scale: 'none', whitening: openrlhfWhitening },
    kl: { kind: 'k2' },
    aggregation: 'token_mean'
  },
  // Zheng et al. 2025, arXiv 2507.18071.
  gspo: { ratio: 'sequence', loss: { clipLow: 3e-4, clipHigh: 4e-4 } },
  // The same value; each token is differentiated through its own log-prob, so advantages may differ by token.
  gspo_token: { ratio: 'sequence', loss: { clipLow: 3e-4, clipHigh: 4e-4, ratioGradient: 'own_token' } },
  ...losses,
  // Hao et al. 2025, arXiv 2505.23585: the baseline of least variance where a gradient grows with the length.
  opo: {
    ...policyGradient,
    advantage: { baseline: 'length_weighted', scale: 'none' },
    aggregation: 'sequence_mean_token_sum'
  },
  // Li et al. 2023, arXiv 2310.10505: the reward of the prompt's greedy completion is the baseline.
  remax: { ...policyGradient, advantage: { baseline: 'given', scale: 'none' }, aggregation: 'sequence_mean_token_sum' },
  // Chu et al. 2025, arXiv 2504.02546.
  gpg: { ...policyGradient, advantage: { scale: 'nonzero' }, aggregation: 'token_mean' },
  // Liu et al. 2026, arXiv 2601.05242, as TRL has it: each function by its group, the sum by the batch.
  gdpo: { advantage: { multiObjective: 'normalize_then_sum', scale: 'batch_advantage' } },
  // The mean of the whole batch, not of the group (OpenRLHF).
  flash_reinforce: { ...policyGradient, advantage: { baseline: 'batch', scale: 'none' }, aggregation: 'token_mean' },
  // Tang et al. 2025, arXiv 2503.19595.
  grpo_passk: { advantage: { baseline: 'second_best' } },
  // Weighted by the squared norm of the score up to each token (verl).
  optimal_token_baseline: { advantage: optimalToken, aggregation: 'token_mean' },
  tir_optimal_token_baseline: { advantage: { ...optimalToken, alignment: 'counted' }, aggregation: 'token_mean' },
  // Schulman et al. 2017, arXiv 1707.06347, with GAE (arXiv 1506.02438), whitened.
  ppo: {
    advantage: { estimator: 'gae', baseline: 'none', scale: 'none', lambda: 0.95, whitening: plainWhitening },
    kl: { kind: 'k1', inReward: true, perToken: true },
    aggregation: 'token_mean'
  },
  // The whole set of answers: no sampling noise. Baseline and weights by `exact_weights`.
  exact: { advantage: { estimator: 'exact', scale: 'none' }, loss: { kind: 'policy_gradient' } },

  trl_grpo: { ...trl, aggregation: 'sequence_mean_token_mean' },
  trl_dapo: { ...trl, aggregation: 'token_mean' },
  trl_bnpo: { ...trl, aggregation: 'token_mean' },
  trl_dr_grpo: { ...trl, advantage: { scale: 'none' }, aggregation: 'constant' },
  trl_gspo: { ...trl, ratio: 'sequence' },
  trl_cispo: { ...trl, ...losses.cispo_absolute },
  trl_sapo: { ...trl, ...losses.sapo },
  // Its default epsilon; the paper's are those of GSPO.
  trl_luspo: { ...trl, ratio: 'sequence', aggregation: 'sequence_mean_token_sum' },
  trl_vespo: {
    ...trl,
    loss: { kind: 'vespo', gammaWeight: { maskedImportance: true } },
    aggregation: 'token_mean'
  },
  trl_gmpo: losses.gmpo,
  trl_gdpo: { ...trl, advantage: { multiObjective: 'normalize_then_sum', scale: 'batch_advantage' } },
  trl_rloo: {
    advantage: { baseline: 'leave_one_out', scale: 'none' },
    ratio: 'sequence_sum',
    kl: { kind: 'k1', coefficient: 0.05, inReward: true },
    aggregation: 'sequence_mean'
  },

  verl_grpo: { ...verl, advantage: verlGroup },
  verl_dr_grpo: { ...verl, advantage: { ...verlGroup, scale: 'none' }, aggregation: 'constant' },
  verl_gspo: {
    ...verl,
    advantage: verlGroup,
    ratio: 'sequence',
    loss: { logRatioHigh: 10, ratioGradient: 'own_token' },
    aggregation: 'sequence_mean_token_mean'
  },
  verl_rloo: { ...verl, advantage: { ...verlGroup, baseline: 'leave_one_out', scale: 'none' } },
  verl_opo: { ...verl, advantage: { ...verlGroup, baseline: 'length_weighted', scale: 'none' } },
  verl_reinforce_plus_plus: {
    ...verl,
    advantage: { ...verlGroup, baseline: 'none', scale: 'none', whitening: verlWhitening }
  },
  verl_reinforce_plus_plus_baseline: {
    ...verl,
    advantage: { ...verlGroup, maskedReturn: 'through', scale: 'none', whitening: verlWhitening }
  },

  verl_cispo: { ...verl, advantage: verlGroup, loss: { ...verlBounded, kind: 'cispo' } },
  verl_sapo: {
    ...verl,
    advantage: verlGroup,
    loss: { ...verlBounded, kind: 'sapo' },
    aggregation: 'sequence_mean_token_mean'
  },
  // Its clip_ratio_c bounds the weight.
  verl_dppo_tv: { ...verl, advantage: verlGroup, loss: { ...verlBounded, kind: 'dppo_tv', ratioCap: 3 } },
  verl_dppo_kl: { ...verl, advantage: verlGroup, loss: { ...verlBounded, kind: 'dppo_kl', ratioCap: 3 } },
  verl_dro: { ...verl, advantage: verlGroup, loss: { kind: 'dro' } },
  verl_clip_cov: { ...verl, advantage: verlGroup, loss: { kind: 'clip_cov' } },
  verl_kl_cov: { ...verl, advantage: verlGroup, loss: { kind: 'kl_cov', covariance: { klCoefficient: 0.1 } } },
  // Its name there: geo_mean. A plain mean over rows, empty ones included.
  verl_gmpo: {
    ...verl,
    advantage: verlGroup,
    loss: { kind: 'gmpo' },
    aggregation: 'sequence_mean_token_mean',
    countEmptyRows: true
  },
  // Bypass mode, where the old log-probs are those of the rollout: PPO's clip is verl_grpo; this is its REINFORCE,
  // weighted by the ratio up to rollout_is_threshold.
  verl_bypass_reinforce: {
    ...verl,
    advantage: verlGroup,
    loss: { ...verlBounded, kind: 'cispo', clipLow: null, clipHigh: null, ratioCap: 2 }
  },
  verl_remax: { ...verl, advantage: { ...verlGroup, baseline: 'given', scale: 'none' } },
  verl_gpg: { ...verl, loss: { kind: 'policy_gradient' }, advantage: { ...verlGroup, scale: 'nonzero' } },
  verl_gdpo: {
    ...verl,
    advantage: { ...verlGroup, multiObjective: 'normalize_then_sum', whitening: verlWhitening }
  },
  verl_grpo_passk: { ...verl, advantage: { ...verlGroup, baseline: 'second_best', singleton: 'error' } },
  verl_optimal_token_baseline: { ...verl, advantage: { ...verlGroup, ...optimalToken } },
  verl_tir_optimal_token_baseline: { ...verl, advantage: { ...verlGroup, ...optimalToken, alignment: 'counted' } },
  verl_ppo: {
    ...verl,
    advantage: { ...verlGroup, estimator: 'gae', baseline: 'none', scale: 'none', whitening: verlWhitening }
  },

  openrlhf_group_norm: { ...openrlhf, advantage: { ...openrlhfReward, epsilon: 1e-9 } },
  openrlhf_dr_grpo: { ...openrlhf, advantage: { ...openrlhfReward, scale: 'none' } },
  openrlhf_rloo: { ...openrlhf, advantage: { ...openrlhfReward, baseline: 'leave_one_out', scale: 'none' } },
  openrlhf_reinforce: {
    ...openrlhf,
    advantage: { ...openrlhfReward, baseline: 'none', scale: 'none', whitening: openrlhfWhitening }
  },
  openrlhf_reinforce_baseline: {
    ...openrlhf,
    advantage: { ...openrlhfReward, scale: 'none', whitening: openrlhfWhitening }
  },
  openrlhf_flash_reinforce: { ...openrlhf, advantage: { ...openrlhfReward, baseline: 'batch', scale: 'none' } },
  openrlhf_ppo: {
    ...openrlhf,
    advantage: {
      ...openrlhfReward,
      estimator: 'gae',
      baseline: 'none',
      scale: 'none',
      whitening: openrlhfWhitening
    }
  },
  openrlhf_gspo: {
    ...openrlhf,
    advantage: { ...openrlhfReward, epsilon: 1e-9 },
    ratio: 'sequence',
    loss: {},
    aggregation: 'sequence_mean_token_mean'
  }
}
