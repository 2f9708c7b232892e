#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "rules/advantage.h"
#include "reference/spread.h"

// One reward per completion becomes one advantage per completion: reward - baseline, divided by a spread.
namespace adjudge::reference {

using namespace rl;

struct Outcome {
  std::vector<double> advantages;      // [completions]
  std::vector<std::uint8_t> compared;  // [completions]: scored, and with something to be compared with
  std::vector<std::uint8_t> constant;  // [groups]: without spread among their scored members
};

template <typename Float>
double token_count(const AdvantageBatch<Float>& batch, std::size_t row) {
  double count = 0;
  for (std::int32_t t = batch.cu_seqlens[row]; t < batch.cu_seqlens[row + 1]; ++t) {
    if (!batch.mask || batch.mask[t]) ++count;
  }
  return count;
}

// Does the baseline look at the other members of the group?
inline bool compares(Baseline baseline) {
  return baseline != Baseline::batch && baseline != Baseline::given && baseline != Baseline::none;
}

template <typename Float>
class OutcomeRule {
 public:
  // `scale` may differ from the rule's: rewards of several functions are scaled one by one.
  OutcomeRule(const AdvantageRule& rule, Scale scale, const AdvantageBatch<Float>& batch)
      : rule_(rule), scale_(scale), batch_(batch) {}

  Outcome operator()(const std::vector<double>& rewards, const std::vector<std::uint8_t>& scored) const {
    Outcome outcome{std::vector<double>(rewards.size(), 0.0), scored,
                    std::vector<std::uint8_t>(batch_.groups, 0)};
    const Spread whole = spread_of(rewards, scored, 0, rewards.size(), rule_.bessel);
    const double nonzero = nonzero_factor(rewards, scored);
    for (std::size_t g = 0; g < batch_.groups; ++g) {
      const Members members{static_cast<std::size_t>(batch_.group_offsets[g]),
                            static_cast<std::size_t>(batch_.group_offsets[g + 1])};
      const Spread group = spread_of(rewards, scored, members.begin, members.end, rule_.bessel);
      outcome.constant[g] = group.constant;
      const bool single = group.count == 1 && (compares(rule_.baseline) || scale_ == Scale::group);
      if (single && rule_.singleton == Singleton::error) refuse(g);
      const Comparison comparison = comparison_of(rewards, scored, members);
      for (std::size_t i = members.begin; i < members.end; ++i) {
        if (single && rule_.singleton == Singleton::zero) outcome.compared[i] = 0;
        if (!outcome.compared[i]) continue;
        const double baseline =
            single && compares(rule_.baseline) ? 0 : baseline_of(group, whole, comparison, i, rewards[i]);
        double advantage = rewards[i] - baseline;
        if (scale_ == Scale::group) advantage /= (single ? 1.0 : group.deviation) + rule_.epsilon;
        if (scale_ == Scale::batch) advantage /= whole.deviation + rule_.epsilon;
        if (scale_ == Scale::nonzero) advantage *= nonzero;
        outcome.advantages[i] = advantage;
      }
    }
    return outcome;
  }

 private:
  struct Members {
    std::size_t begin;
    std::size_t end;
  };

  // What a baseline needs to know of a group besides its mean.
  struct Comparison {
    double length_weighted = 0;
    std::size_t best = 0;
    double second = 0;
  };

  [[noreturn]] void refuse(std::size_t group) const {
    throw Error{"BATCH_TOO_SMALL",
                "group " + std::to_string(group) +
                    " has one scored completion and this algorithm compares at least 2: sample "
                    "more per prompt, or set advantage.singleton to zero"};
  }

  // GPG: number of rewards / number of rewards that are not 0, over the normaliser.
  double nonzero_factor(const std::vector<double>& rewards, const std::vector<std::uint8_t>& scored) const {
    double count = 0;
    double nonzero = 0;
    for (std::size_t i = 0; i < rewards.size(); ++i) {
      if (!scored[i]) continue;
      ++count;
      if (rewards[i] != 0) ++nonzero;
    }
    return count / std::max(nonzero, 1.0) / rule_.f_norm;
  }

  Comparison comparison_of(const std::vector<double>& rewards, const std::vector<std::uint8_t>& scored,
                           Members members) const {
    Comparison found;
    if (rule_.baseline == Baseline::length_weighted) {
      double sum = 0;
      double lengths = 0;
      for (std::size_t i = members.begin; i < members.end; ++i) {
        if (!scored[i]) continue;
        const double length = token_count(batch_, i);
        sum += length * rewards[i];
        lengths += length;
      }
      found.length_weighted = lengths > 0 ? sum / lengths : 0;
    }
    if (rule_.baseline == Baseline::second_best) {
      double best = -std::numeric_limits<double>::infinity();
      found.second = best;
      for (std::size_t i = members.begin; i < members.end; ++i) {
        if (!scored[i]) continue;
        if (rewards[i] > best) {
          found.second = best;
          best = rewards[i];
          found.best = i;
        } else {
          found.second = std::max(found.second, rewards[i]);
        }
      }
    }
    return found;
  }

  double baseline_of(const Spread& group, const Spread& whole, const Comparison& comparison, std::size_t row,
                     double reward) const {
    switch (rule_.baseline) {
      case Baseline::group:
        return group.mean;
      case Baseline::batch:
        return whole.mean;
      case Baseline::length_weighted:
        return comparison.length_weighted;
      case Baseline::leave_one_out: {
        if (group.constant) return reward;
        const double count = static_cast<double>(group.count);
        return (group.mean * count - reward) / (count - 1);
      }
      case Baseline::second_best:
        return row == comparison.best ? comparison.second : reward;
      case Baseline::given:
        return batch_.baselines[row];
      case Baseline::optimal_token:  // subtracted later, token by token
      case Baseline::none:
        return 0;
    }
    return 0;
  }

  const AdvantageRule& rule_;
  Scale scale_;
  const AdvantageBatch<Float>& batch_;
};

}  // namespace adjudge::reference
