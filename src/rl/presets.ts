/** Named algorithms: each changes some fields of the base record. Formulas and constants are those of the sources. */
import type { Algorithm, Partially } from './types.js'

/** What every preset starts from: GRPO (Shao et al. 2024, arXiv 2402.03300) with the constants of TRL 1.16. */
export const base: Algorithm = {
  preset: 'grpo',
  advantage: {
    estimator: 'sampled',
    baseline: 'group',
    scale: 'group',
    epsilon: 1e-4,
    bessel: true,
    singleton: 'zero',
    rewardClip: null,
    rewardClipPlace: 'before_baseline',
    gamma: 1,
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
    ratioGradient: 'joint'
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
  entropy: { coefficient: 0, aggregation: 'token_mean' },
  aggregation: 'sequence_mean_token_mean',
  constant: null,
  tokenEpsilon: 0,
  countEmptyRows: true
}

const verlWhitening = { scale: true, bessel: true, epsilon: 1e-8, epsilonRule: 'add', countEpsilon: 1e-8 } as const
const openrlhfWhitening = { scale: true, bessel: false, epsilon: 1e-8, epsilonRule: 'floor', countEpsilon: 0 } as const

const verlLoss = { dualClip: 3, logRatioLow: -20, logRatioHigh: 20 } as const
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
  // The whole set of answers: no sampling noise. Baseline and weights by `exact_weights`.
  exact: { advantage: { estimator: 'exact', scale: 'none' }, loss: { kind: 'policy_gradient' } },

  trl_grpo: { aggregation: 'sequence_mean_token_mean' },
  trl_dapo: { aggregation: 'token_mean' },
  trl_bnpo: { aggregation: 'token_mean' },
  trl_dr_grpo: { advantage: { scale: 'none' }, aggregation: 'constant' },
  trl_gspo: { ratio: 'sequence' },
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
  openrlhf_gspo: {
    ...openrlhf,
    advantage: { ...openrlhfReward, epsilon: 1e-9 },
    ratio: 'sequence',
    loss: {},
    aggregation: 'sequence_mean_token_mean'
  }
}
