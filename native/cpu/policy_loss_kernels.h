// The table of the policy loss's vector operations; cpu/policy_loss.cpp feeds them with blocks and rows.
#pragma once
#include <cstdint>

#include "native/rules/loss_constants.h"

namespace adjudge {

inline constexpr int64_t loss_block_tokens = 512;  // of one sweep: f32 sums are gathered in f64 after each
inline constexpr int64_t loss_kinds = 11;

// One block of consecutive tokens, which may lie in several rows. Every array starts at its first token and
// has `count` elements; null: absent.
struct LossBlock {
  int64_t count;
  const float* log_probs;
  const float* old_log_probs;
  const float* reference_log_probs;
  const float* entropies;
  const float* importance_weights;
  const uint8_t* mask;
  const uint8_t* teaches;   // tokens of the policy term and the bonus
  const uint8_t* selected;  // clip_cov, kl_cov
  const float* advantages;
  const float* weights;        // what a token weighs in the loss
  const float* bonus_weights;  // times its entropy: the bonus
  // Of the token's row, where the rule has such a thing:
  const float* ratios;        // null: each token's own
  const float* own_slopes;    // d ratio / d own log-prob, beside `ratios`
  const float* drifted;       // 1: tokens with A < 0 are left out
  const float* phi_positive;  // vespo, A >= 0
  const float* phi_negative;
  const float* means;        // gmpo: geometric mean
  const float* mean_slopes;  // gmpo: derivative of the loss for each token that is not held
  float* gradients;
  float* entropy_gradients;
  float* row_slopes;  // out: derivative with respect to the row's ratio; null: not wanted
  uint8_t* low;       // out: one bit a token, lowest first
  uint8_t* high;
  uint8_t* dual;
  bool stream;  // gradients past the caches, where they are aligned
};

struct LossSums {
  double loss;
  double bonus;
  double kl;
  double entropy;
  double ratio;
  double ratio_max;
  double old_kl;
  double old_kl_bounded;
  double old_kl_absolute;
  double phi;
  int64_t bound;
  int64_t selected;
};

// Sums over the tokens of a row, in lanes of f32, which are gathered in f64 after `loss_gathered_vectors`
// vectors. In memory between the rows; how many of the lanes are used depends on the instruction set.
inline constexpr int64_t loss_gathered_vectors = 16;

struct LossLanes {
  static constexpr int64_t sums = 5;  // loss, KL, ratio, log ratio, magnitude of the log ratio
  alignas(64) float lanes[sums][16];
  alignas(64) float largest[16];  // ratio
  alignas(64) double gathered[sums][16];
  int64_t vectors;  // in `lanes`
};

// A whole row of a plain rule (LossPlan::plain).
struct LossRow {
  int64_t count;
  const float* log_probs;
  const float* old_log_probs;
  const float* reference_log_probs;  // null: no KL
  const float* importance_weights;   // null: 1
  const float* advantages;           // null: `advantage` for all
  const uint8_t* mask;               // null: every token counts
  float advantage;
  float weight;    // of a counted token
  float gradient;  // of the policy term, where the ratio is the row's
  float* gradients;
  bool stream;  // past the caches, where they are aligned
  // out, of counted tokens:
  int64_t low;
  int64_t high;
  int64_t dual;
  int64_t bound;
};

// Sums over the counted tokens of a row.
struct EntropySums {
  double entropy;
  double bonus;
};

// Sums of counted tokens' log ratios.
struct LogRatioSums {
  double change;
  double absolute;
};

// A whole row; which sums are asked for depends on the rule.
struct RowTokens {
  int64_t count;
  const float* log_probs;
  const float* old_log_probs;
  const float* rollout_log_probs;
  const float* importance_weights;
  const uint8_t* mask;
  const uint8_t* teaches;
  const float* advantages;  // null: `advantage` for all
  float advantage;
  bool drift;              // wants drift
  bool masked_importance;  // vespo
};

struct RowSums {
  double change;              // sum of log ratios
  double drift;               // of rollout - policy log-prob, where the first is known
  double log_weight;          // vespo: of bounded log ratios
  double held;                // gmpo: of held log ratios, of tokens that teach
  double taught;              // gmpo: their number
  double log_importance;      // vespo: of bounded weights; gmpo
  double advantage_positive;  // gmpo: sum of A of counted tokens with A >= 0
  double advantage_negative;
};

// A row of tokens with ratios of their own: one advantage or one each; without KL and with an unbounded k3.
// Null: not of this kind.
struct RowSweeps {
  void (*of[2][2])(const rl::LossConstants& rule, LossRow& row, LossLanes& sums);
};

struct PolicyLossKernels {
  void (*sweep[loss_kinds])(const rl::LossConstants& rule, const LossBlock& block, LossSums& sums);
  RowSweeps sweep_row[loss_kinds];
  // A row with one ratio: `gradient` and the KL.
  void (*sweep_fixed_row)(const rl::LossConstants& rule, LossRow& row, LossLanes& sums);
  // Entropies and their bonus, `weight` times each; writes -weight to the gradients (null: not wanted).
  EntropySums (*sweep_entropies)(const float* entropies, const uint8_t* mask, int64_t count, float weight,
                                 float* gradients);
  LogRatioSums (*sum_log_ratios)(const float* log_probs, const float* old_log_probs, const uint8_t* mask,
                                 int64_t count);
  void (*gather)(const LossLanes& lanes, LossSums& sums);
  void (*sum_row)(const rl::LossConstants& rule, const RowTokens& row, RowSums& sums);
  double (*sum)(const float* values, int64_t count);
  // values += change where the mask is not 0
  void (*add_counted)(float* values, const uint8_t* mask, int64_t count, float change);
  int64_t (*count_bytes)(const uint8_t* bytes, int64_t count);  // bytes that are not 0
  int64_t (*count_bits)(const uint8_t* bits, int64_t begin, int64_t end);
};

extern const PolicyLossKernels policy_loss_portable;
#if defined(__x86_64__)
extern const PolicyLossKernels policy_loss_avx2;
extern const PolicyLossKernels policy_loss_avx512;
#endif

}  // namespace adjudge
