#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// The expected reward over a closed set of answers, and its exact derivative: nothing is sampled.
namespace adjudge::rl {

// softmax: probabilities are normalised over the scored answers of the set, J = sum of p(c) r(c);
// raw: p(c) = exp(log_prob(c)), and the baseline (a constant for the derivative) is subtracted from r.
enum class ExactWeights { softmax, raw };

enum class ExactBaseline { expected, none };

struct ExactRule {
  ExactWeights weights = ExactWeights::softmax;
  ExactBaseline baseline = ExactBaseline::expected;
  double kl_coefficient = 0;
  double entropy_coefficient = 0;
};

template <typename Float>
struct ExactBatch {
  const Float* choice_log_probs = nullptr;            // [choices]: sum of the answer's token log-probs
  const Float* reference_choice_log_probs = nullptr;  // null: no KL
  const Float* rewards = nullptr;                     // [choices]; NaN = unscored
  const std::uint8_t* scored = nullptr;               // null: all
  const std::int32_t* group_offsets = nullptr;        // [groups + 1]
  std::size_t groups = 0;
  double batch_groups =
      -1;  // prompts of the whole optimizer batch with at least one scored answer; -1 = here
};

struct ExactResult {
  double loss = 0;                // minus the mean expected reward, plus KL and entropy terms
  std::vector<double> gradients;  // [choices]: d loss / d choice_log_prob, the same for each of its tokens
  std::vector<double> probabilities;  // [choices], 0 where unscored
  double expected_reward = 0;
  double entropy = 0;
  double kl = 0;
  double mass = 0;  // mean of the summed exp(log_prob) of the scored answers: what the set covers
  std::size_t scored_groups = 0;
  std::size_t dead_groups = 0;
  std::size_t unscored = 0;
};

template <typename Float>
ExactResult exact_objective(const ExactRule& rule, const ExactBatch<Float>& batch);

}  // namespace adjudge::rl
