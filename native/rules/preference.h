#pragma once

#include <cstddef>
#include <cstdint>

// Rule, batch and results of the losses over judged pairs (DPO and its relatives), over single judged
// completions (KTO), and of a reward model's scores (Bradley-Terry).
namespace adjudge::rl {

// What one pair, or for kto one completion, contributes.
enum class PreferenceKind {
  sigmoid,
  hinge,
  ipo,
  robust,
  exo_pair,
  nca_pair,
  bco_pair,
  sppo_hard,
  apo_zero,
  apo_down,
  aot,
  aot_unpaired,
  discopop,
  orpo,
  kto
};

// The f-divergence whose derivative makes a completion's score of its log ratio.
enum class Divergence { reverse_kl, forward_kl, js_divergence, alpha_divergence };

// Means per token: none, of the log-probs before all else, or of the score after the divergence.
enum class LengthNormalization { none, log_prob, score };

struct PreferenceRule {
  PreferenceKind kind = PreferenceKind::sigmoid;
  Divergence divergence = Divergence::reverse_kl;
  double divergence_alpha = 0.5;
  LengthNormalization length_normalization = LengthNormalization::none;
  double beta = 0.1;
  double label_smoothing = 0;
  double target_margin = 0;       // subtracted from beta x (chosen score - rejected score)
  double temperature = 0.05;      // discopop
  double nll_coefficient = 0;     // of the mean token loss on the chosen completions
  double center_coefficient = 0;  // of the mean of (chosen score + rejected score)^2
  double desirable_weight = 1;    // kto
  double undesirable_weight = 1;
};

template <typename Float>
struct PreferenceBatch {
  // [tokens] with cu_seqlens; without, [completions]: sums over the tokens, or a reward model's scores.
  const Float* log_probs = nullptr;
  const Float* reference_log_probs = nullptr;  // null: plain log-probs stand for the log ratios
  const std::int32_t* cu_seqlens = nullptr;    // [completions + 1]
  const std::uint8_t* mask = nullptr;          // [tokens]; null: all
  const std::uint8_t* nll_mask = nullptr;      // [tokens]; null: as mask
  const std::int32_t* lengths = nullptr;       // [completions]: token counts where there is no cu_seqlens
  std::size_t completions = 0;
  const std::int32_t* chosen = nullptr;  // [pairs]: index of a completion
  const std::int32_t* rejected = nullptr;
  std::size_t pairs = 0;
  const Float* margins = nullptr;           // [pairs]; null: 0
  const Float* weights = nullptr;           // [pairs], kto: [completions]; null: 1
  const std::uint8_t* desirable = nullptr;  // [completions]; kto
  // kto: [mismatched] sums of completions after prompts that are not their own. Their mean log ratio, at
  // least 0, is the baseline; without them kl_baseline is.
  const Float* mismatched_log_probs = nullptr;
  const Float* mismatched_reference_log_probs = nullptr;
  std::size_t mismatched = 0;
  double kl_baseline = 0;
  double batch_size = -1;    // pairs (kto: completions) of the whole optimizer batch; -1 = of this one
  double batch_tokens = -1;  // tokens of the chosen completions there that the nll counts
};

// Means over this batch's pairs; NaN where there is nothing to take a mean of.
struct PreferenceMetrics {
  double reward_chosen = 0;
  double reward_rejected = 0;
  double accuracy = 0;
  double margin = 0;
  double log_prob_chosen = 0;
  double log_prob_rejected = 0;
  double nll = 0;
  double log_odds = 0;          // orpo
  double log_sigmoid_odds = 0;  // orpo
  double kl = 0;                // kto: the baseline
  double reward_least = 0;      // over both sides
  double reward_mean = 0;
  double reward_most = 0;
};

struct PreferenceValue {
  double loss = 0;
  PreferenceMetrics metrics;
};

}  // namespace adjudge::rl
