#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

// The rule, the batch and the metrics of advantages.
namespace adjudge::rl {

enum class Estimator { sampled, gae };

// second_best: only the best member has an advantage, its lead over the second; given: what the batch holds
// per completion; optimal_token: the baseline of least variance at each token.
enum class Baseline { group, batch, leave_one_out, length_weighted, second_best, optimal_token, given, none };

// batch: spread of the batch's rewards; batch_advantage: the advantages are centred and divided by their
// spread; nonzero: share of rewards that are not 0.
enum class Scale { group, batch, batch_advantage, nonzero, none };

// Advantage of a group's only scored member: 0, its raw reward, or a refusal.
enum class Singleton { zero, reward, error };

// Several reward functions: one weighted sum, or each normalised by itself before the sum.
enum class MultiObjective { sum_then_normalize, normalize_then_sum };

// Which tokens of a group the optimal token baseline compares: of the same place, or as many counted tokens
// on.
enum class Alignment { position, counted };

enum class ClipPlace { before_baseline, after_baseline };

// A token whose mask is 0 is no step of the discounted return (skip, verl), or one without reward (through,
// OpenRLHF).
enum class MaskedReturn { skip, through };

enum class EpsilonRule { add, floor };

// Centres (and scales) token advantages over all counted tokens of the batch.
struct Whitening {
  bool enabled = false;
  bool scale = true;
  bool bessel = true;
  double epsilon = 1e-8;
  EpsilonRule epsilon_rule = EpsilonRule::add;
  double count_epsilon = 0;  // added to the divisor of each mean
};

struct AdvantageRule {
  Estimator estimator = Estimator::sampled;
  MultiObjective multi_objective = MultiObjective::sum_then_normalize;
  Baseline baseline = Baseline::group;
  Scale scale = Scale::group;
  double epsilon = 1e-4;
  bool bessel = true;
  Singleton singleton = Singleton::zero;
  double clip_low = -std::numeric_limits<double>::infinity();
  double clip_high = std::numeric_limits<double>::infinity();
  ClipPlace clip_place = ClipPlace::before_baseline;
  double f_norm = 1;  // GPG's normaliser
  double gamma = 1;
  double lambda = 1;  // of GAE
  Alignment alignment = Alignment::position;
  bool zero_tail = true;  // no baseline where the longest member of a group has no other to be compared with
  MaskedReturn masked_return = MaskedReturn::through;
  bool penalty_per_token = false;
  Whitening whitening;
};

template <typename Float>
struct AdvantageBatch {
  const Float* rewards =
      nullptr;  // [completions, functions]; NaN = that function did not judge the completion
  std::size_t functions = 1;
  const double* weights = nullptr;              // [functions], null = all 1
  const std::uint8_t* scored = nullptr;         // [completions], null = all
  const std::int32_t* group_offsets = nullptr;  // [groups + 1]
  std::size_t groups = 0;
  const std::int32_t* cu_seqlens = nullptr;   // [completions + 1], null where no rule looks at tokens
  const std::uint8_t* mask = nullptr;         // [tokens], null = all count
  const Float* penalties = nullptr;           // [tokens], taken off the reward (coefficient x KL)
  const Float* baselines = nullptr;           // [completions], for Baseline::given
  const Float* values = nullptr;              // [tokens], for Estimator::gae
  const Float* log_probs = nullptr;           // [tokens], these three for Baseline::optimal_token
  const Float* sum_pi_squared = nullptr;      // sum over the vocabulary of the squared probabilities
  const Float* importance_weights = nullptr;  // null = all 1
};

struct AdvantageMetrics {
  double reward = 0;                // mean over scored completions; NaN where none is scored
  double reward_std = 0;            // with n-1; NaN below two scored completions
  double frac_reward_zero_std = 0;  // share of groups (of those with a scored member) without spread
  std::size_t dead_groups = 0;
  std::size_t scored_groups = 0;
  std::size_t unscored = 0;
};

// Does the result have one advantage per token, and not one per completion?
template <typename Float>
bool advantages_per_token(const AdvantageRule& rule, const AdvantageBatch<Float>& batch) {
  return rule.estimator == Estimator::gae || rule.baseline == Baseline::optimal_token ||
         rule.whitening.enabled || rule.gamma != 1 || (batch.penalties && rule.penalty_per_token);
}

}  // namespace adjudge::rl
