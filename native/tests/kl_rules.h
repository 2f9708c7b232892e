// Every estimator of KL under every gradient, free and within bounds.
#pragma once

#include <vector>

#include "native/rules/kl.h"

namespace adjudge::rl::testing {

inline std::vector<KlRule> kl_rules() {
  std::vector<KlRule> all;
  for (const auto kind : {KlKind::k1, KlKind::k2, KlKind::k3, KlKind::absolute}) {
    for (const auto gradient : {KlGradient::value, KlGradient::unbiased, KlGradient::unbiased_ratio}) {
      KlRule rule;
      rule.kind = kind;
      rule.gradient = gradient;
      rule.coefficient = 0.3;
      all.push_back(rule);
      rule.difference_low = -0.9;
      rule.difference_high = 0.8;
      rule.value_limit = 0.5;
      all.push_back(rule);
    }
  }
  return all;
}

}  // namespace adjudge::rl::testing
