/** Presets that are known by their loss: what they change of the base record, with the constants of the sources. */
import type { Algorithm, Partially } from './types.js'

export const lossPresets = {
  // TRL's name for a mean over the batch's tokens.
  bnpo: { aggregation: 'token_mean' },
  // MiniMax 2025, arXiv 2506.13585: the ratio is a constant weight, kept below 1 + clip_high; no lower bound.
  cispo: { loss: { kind: 'cispo', clipLow: null, clipHigh: 0.28 }, aggregation: 'token_mean' },
  // The same with an absolute bound of the weight, as in TRL, which advises 5.
  cispo_absolute: {
    loss: { kind: 'cispo', clipLow: null, clipHigh: null, ratioCap: 5 },
    aggregation: 'token_mean'
  },
  // Gao et al. 2025, arXiv 2511.20347: a sigmoid of the ratio in place of the clip.
  sapo: { loss: { kind: 'sapo' } },
  // Length-unbiased sequence policy optimisation, arXiv 2602.05261: GSPO, each sequence weighted by its length.
  luspo: { ratio: 'sequence', loss: { clipLow: 3e-4, clipHigh: 4e-4 }, aggregation: 'sequence_mean_token_sum' },
  // arXiv 2602.10693: a gamma-shaped weight of the whole sequence's ratio.
  vespo: { loss: { kind: 'vespo' }, aggregation: 'token_mean' },
  // Zhao et al. 2025, arXiv 2507.20673: the geometric mean of held token ratios, within exp(±0.4).
  gmpo: { loss: { kind: 'gmpo', clipLow: 0.4, clipHigh: 0.4 }, aggregation: 'sequence_mean' },
  // arXiv 2602.04879: a bound on the change of a token's probability, or on the binary KL, in place of the clip.
  dppo: { loss: { kind: 'dppo_tv', ratioCap: 20 }, aggregation: 'token_mean' },
  dppo_kl: { loss: { kind: 'dppo_kl', clipLow: 0.05, clipHigh: 0.05, ratioCap: 20 }, aggregation: 'token_mean' },
  // Cui et al. 2025, arXiv 2505.22617.
  clip_cov: { loss: { kind: 'clip_cov' }, aggregation: 'token_mean' },
  kl_cov: { loss: { kind: 'kl_cov' }, aggregation: 'token_mean' },
  // Richemond et al. 2024, arXiv 2405.19107.
  dro: { loss: { kind: 'dro' }, aggregation: 'token_mean' }
} satisfies Record<string, Partially<Algorithm>>
