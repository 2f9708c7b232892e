#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

// Rules, batches and measures of the corrections for completions that another policy sampled than the one
// that is trained: importance weights, rejection, mismatch. With r = probability under the trained policy /
// probability under the rollout's.
namespace adjudge::rl {

template <typename Float>
struct RolloutBatch {
  const Float* log_probs = nullptr;          // trained policy; [tokens]
  const Float* rollout_log_probs = nullptr;  // NaN = the rollout's engine gave none: r counts as 1
  const Float* advantages = nullptr;         // [rows]; only for criteria that spare positive advantages
  const std::uint8_t* mask = nullptr;        // null: all tokens count
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
};

// token: each token's own r; sequence: the product of the row's.
enum class WeightLevel { token, sequence };

// What the band is laid on. weight: the weight itself; the others: r's geometric mean over the row, KL or
// total variation of (token, any other token) between the rollout and the trained policy, or their mean over
// the row.
enum class WeightGate {
  weight,
  geometric_mean,
  binary_kl,
  binary_kl_mean,
  total_variation,
  total_variation_mean
};

// clip: the weight is moved to the band (truncated importance sampling); zero: it becomes 0 (masked, IcePop).
enum class OutsideBand { clip, zero };

struct WeightRule {
  WeightLevel level = WeightLevel::token;
  WeightGate gate = WeightGate::weight;
  OutsideBand outside = OutsideBand::clip;
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  double log_ratio_limit = std::numeric_limits<double>::infinity();  // log of a weight is kept within +- this
  bool normalize = false;    // weights divided by their mean: over tokens, or over rows with a counted token
  double count_epsilon = 0;  // added to the divisor of each mean
};

// Means of a sequence's or the batch's tokens divide by the count + count_epsilon, as verl's do.
struct WeightMetrics {
  // As applied, before they are normalised: of the counted tokens, or of the rows for sequence weights.
  double minimum = 0, mean = 0, maximum = 0;
  double raw_minimum = 0, raw_maximum = 0;  // of the rows' products before the band; tokens: as applied
  double token_mean = 0;
  double deviation = 0;              // over counted tokens, of weights cut at the band's upper end
  double effective_sample_size = 0;  // as a share of the counted tokens
  double fraction_high = 0,
         fraction_low = 0;    // tokens or rows beyond `high`, below `low` (or 1 / high without one)
  double outside_tokens = 0;  // share of counted tokens outside the band
  double outside = 0;         // share of units (tokens, or rows for a row's gate) outside the band
  double sequence_mean = 0, sequence_deviation = 0;  // of the rows' mean weights
  double sequence_maximum = 0, sequence_minimum = 0, sequence_max_deviation = 0;
  double sequence_fraction_high = 0, sequence_fraction_low = 0;
  double normalizer = 1;
};

// Per token: r itself (its log is summed and averaged), k1 = -log r, k2 = (log r)^2 / 2, k3 = r - 1 - log r,
// which estimate KL(rollout || trained); the larger of both directions' binary KL; total variation.
enum class RejectionStatistic { ratio, k1, k2, k3, binary_kl, total_variation };

enum class RejectionLevel { token, sequence_sum, sequence_mean, sequence_max };

struct Criterion {
  RejectionStatistic statistic = RejectionStatistic::k3;
  RejectionLevel level = RejectionLevel::token;
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool only_negative = false;  // completions with an advantage of at least 0 are kept whatever the statistic
};

struct RejectionRule {
  std::vector<Criterion> criteria;
  double log_ratio_limit =
      std::numeric_limits<double>::infinity();  // token log ratios are kept within +- this
  double count_epsilon = 0;
};

// Statistics of a ratio are those of its log.
struct CriterionMetrics {
  double mean = 0, maximum = 0, minimum = 0, deviation = 0;
  double fraction_high = 0, fraction_low = 0;
  double sequence_mean = 0, sequence_deviation = 0, sequence_maximum = 0, sequence_minimum = 0;
  double sequence_max_deviation = 0, sequence_fraction_high = 0, sequence_fraction_low = 0;
  double masked_fraction = 0, sequence_masked_fraction = 0;
};

struct RejectionShares {
  double masked = 0;     // of the counted tokens
  double sequences = 0;  // of all rows
};

// Over counted tokens and over rows; a row without a counted token has mean log-prob 0.
struct MismatchMetrics {
  double training_perplexity = 0, training_log_perplexity = 0;
  double rollout_perplexity = 0, rollout_log_perplexity = 0;
  double kl = 0, k3 = 0;  // KL(rollout || trained)
  double log_perplexity_difference = 0, log_perplexity_absolute_difference = 0;
  double log_perplexity_difference_maximum = 0, log_perplexity_difference_minimum = 0;
  double perplexity_ratio = 0;
  double chi2_token = 0, chi2_sequence = 0;
  double difference_mean = 0, difference_maximum = 0;  // |log r|
  double missing = 0;                                  // counted tokens without a rollout log-prob
};

// The constant that the vespo loss gives a row: GammaWeight of the row's product of ratios and weights.
template <typename Float>
struct GammaBatch {
  const Float* log_probs = nullptr;
  const Float* old_log_probs = nullptr;
  const Float* importance_weights = nullptr;  // [tokens], of the rollout's correction; null: 1
  const Float* advantages = nullptr;          // [rows]
  const std::uint8_t* mask = nullptr;
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
};

}  // namespace adjudge::rl
