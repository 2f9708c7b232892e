/** Named preference losses: each changes some fields of DPO. Constants are those of TRL 1.16 unless a comment says more. */
import type { Preference } from './preferenceTypes.js'

/** Rafailov et al. 2023, arXiv 2305.18290. */
export const basePreference: Preference = {
  preset: 'dpo',
  kind: 'sigmoid',
  reference: true,
  divergence: 'reverse_kl',
  divergenceAlpha: 0.5,
  lengthNormalization: 'none',
  beta: 0.1,
  labelSmoothing: 0,
  targetMargin: 0,
  temperature: 0.05,
  nllCoefficient: 0,
  centerCoefficient: 0,
  desirableWeight: 1,
  undesirableWeight: 1
}

/** Fields that differ from {@link basePreference}, by preset. */
export const preferencePresets: Record<string, Partial<Preference>> = {
  dpo: {},
  // Meng et al. 2024, arXiv 2405.14734, section 3.1: DPO with SimPO's mean per token.
  dpo_norm: { lengthNormalization: 'score' },
  // Mitchell 2023, "A note on DPO with noisy preferences"; OpenRLHF's label_smoothing.
  cdpo: { labelSmoothing: 0.1 },
  // Chowdhury et al. 2024, arXiv 2403.00409.
  robust_dpo: { kind: 'robust', labelSmoothing: 0.1 },
  // Zhao et al. 2023, arXiv 2305.10425, with DPO's log ratios.
  hinge: { kind: 'hinge' },
  // Azar et al. 2023, arXiv 2310.12036: per token in TRL, summed in OpenRLHF.
  ipo: { kind: 'ipo', lengthNormalization: 'score' },
  openrlhf_ipo: { kind: 'ipo' },
  // Ji et al. 2024, arXiv 2402.00856.
  exo: { kind: 'exo_pair', labelSmoothing: 1e-3 },
  // Chen et al. 2024, arXiv 2402.05369.
  nca: { kind: 'nca_pair' },
  // Jung et al. 2024, arXiv 2404.04656, without the running shift of the rewards.
  bco: { kind: 'bco_pair' },
  // Wu et al. 2024, arXiv 2405.00675.
  sppo: { kind: 'sppo_hard' },
  // D'Oosterlinck et al. 2024, arXiv 2408.06266.
  apo_zero: { kind: 'apo_zero' },
  apo_down: { kind: 'apo_down' },
  // Melnyk et al. 2024, arXiv 2406.05882.
  aot: { kind: 'aot' },
  aot_unpaired: { kind: 'aot_unpaired' },
  // Lu et al. 2024, arXiv 2406.08414.
  discopop: { kind: 'discopop' },
  // Ethayarajh et al. 2024, arXiv 2402.01306: single completions, desirable or not.
  kto: { kind: 'kto' },
  // Hong et al. 2024, arXiv 2403.07691.
  orpo: { kind: 'orpo', reference: false, lengthNormalization: 'log_prob', nllCoefficient: 1 },
  // Xu et al. 2024, arXiv 2401.08417.
  cpo: { reference: false, nllCoefficient: 1 },
  // Meng et al. 2024, arXiv 2405.14734: the paper's beta is 2 to 10, its gamma / beta 0.3 to 1.6.
  simpo: { reference: false, lengthNormalization: 'log_prob', beta: 2, targetMargin: 1 },
  trl_simpo: { reference: false, lengthNormalization: 'log_prob', targetMargin: 0.5, nllCoefficient: 1 },
  // Ouyang et al. 2022, arXiv 2203.02155, equation 1; margins: Touvron et al. 2023, arXiv 2307.09288.
  bradley_terry: { kind: 'bradley_terry', reference: false, beta: 1 }
}
