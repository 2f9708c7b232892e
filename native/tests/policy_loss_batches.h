// Random batches of a policy loss and the numbers of its value, for tests of its kernels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "native/rules/policy_loss.h"

namespace adjudge::rl::testing {

using Floats = std::vector<float>;

// Rows of 0 to 1,500 tokens, most of them short; masked tokens hold NaN.
struct Rows {
  std::vector<std::int32_t> cu_seqlens{0};
  Floats log_probs, old_log_probs, reference, entropies, importance, rollout, advantages, token_advantages;
  std::vector<std::uint8_t> mask;

  Rows(unsigned seed, int rows, int longest, bool masked) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int i = 0; i < rows; ++i) {
      const int limit = i % 7 == 0 ? longest : i % 3 == 0 ? 2 : 24;
      const int length = static_cast<int>(random() % static_cast<unsigned>(limit + 1));
      advantages.push_back(i % 11 == 0 ? 0 : normal(random));
      const bool silent = masked && i % 13 == 0;
      for (int t = 0; t < length; ++t) {
        const bool counted = !silent && (!masked || random() % 5 != 0);
        mask.push_back(counted ? static_cast<std::uint8_t>(1 + random() % 2) : 0);
        const float nothing = std::numeric_limits<float>::quiet_NaN();
        const auto keep = [&](float x) { return counted ? x : nothing; };
        const float old_log_prob = -std::abs(normal(random)) * 2 - 0.001F;
        old_log_probs.push_back(keep(old_log_prob));
        log_probs.push_back(keep(std::min(old_log_prob + 0.2F * normal(random), -1e-4F)));
        reference.push_back(keep(old_log_prob + 0.3F * normal(random)));
        rollout.push_back(random() % 9 == 0 ? nothing : keep(old_log_prob + 0.05F * normal(random)));
        entropies.push_back(keep(std::abs(normal(random))));
        // VESPO may look at masked tokens' weights too.
        importance.push_back(std::exp(0.3F * normal(random)));
        token_advantages.push_back(keep(normal(random)));
      }
      cu_seqlens.push_back(static_cast<std::int32_t>(mask.size()));
    }
  }
};

struct Parts {
  bool reference = true, entropies = true, importance = true, rollout = true, per_token = false,
       masked = true;
};

template <typename Float>
struct Copies {
  std::vector<std::vector<Float>> owned;
  LossBatch<Float> batch;

  Copies(const Rows& rows, const Parts& parts) {
    owned.reserve(8);
    const auto copy = [&](const Floats& values, bool wanted) -> const Float* {
      if (!wanted) return nullptr;
      owned.emplace_back(values.begin(), values.end());
      return owned.back().data();
    };
    batch.log_probs = copy(rows.log_probs, true);
    batch.old_log_probs = copy(rows.old_log_probs, true);
    batch.reference_log_probs = copy(rows.reference, parts.reference);
    batch.entropies = copy(rows.entropies, parts.entropies);
    batch.importance_weights = copy(rows.importance, parts.importance);
    batch.rollout_log_probs = copy(rows.rollout, parts.rollout);
    batch.advantages = copy(parts.per_token ? rows.token_advantages : rows.advantages, true);
    batch.advantages_per_token = parts.per_token;
    batch.mask = parts.masked ? rows.mask.data() : nullptr;
    batch.cu_seqlens = rows.cu_seqlens.data();
    batch.rows = rows.cu_seqlens.size() - 1;
  }
};

inline std::vector<double> numbers(const LossValue& value) {
  const LossMetrics& m = value.metrics;
  return {value.loss,    m.tokens,     m.sequences,      m.clip_low,
          m.clip_high,   m.clip_dual,  m.clip_low_min,   m.clip_high_max,
          m.clip_token,  m.clip_bound, m.selected,       m.phi,
          m.policy_loss, m.kl,         m.entropy,        m.ratio_mean,
          m.ratio_max,   m.old_kl,     m.old_kl_bounded, m.old_kl_absolute};
}

inline const std::vector<LossKind> kinds{LossKind::policy_gradient,
                                         LossKind::clip,
                                         LossKind::cispo,
                                         LossKind::sapo,
                                         LossKind::vespo,
                                         LossKind::gmpo,
                                         LossKind::dppo_tv,
                                         LossKind::dppo_kl,
                                         LossKind::dro,
                                         LossKind::clip_cov,
                                         LossKind::kl_cov};

inline std::string name_of(const LossRule& rule, const std::string& more) {
  return "kind " + std::to_string(static_cast<int>(rule.kind)) + " ratio " +
         std::to_string(static_cast<int>(rule.ratio)) + " " + more;
}

// One change of a rule each.
inline const std::vector<std::function<void(LossRule&)>> options{
    [](LossRule& rule) { rule.ratio_cap = 1.1; },
    [](LossRule& rule) { rule.dual_clip = 1.1; },
    [](LossRule& rule) { rule.clip_low = rule.clip_high = INFINITY; },
    [](LossRule& rule) { rule.log_ratio_low = -0.1, rule.log_ratio_high = 0.15; },
    [](LossRule& rule) { rule.keep_ratio_low = 0.8, rule.keep_ratio_high = 1.3; },
    [](LossRule& rule) { rule.off_policy_threshold = 0.02; },
    [](LossRule& rule) { rule.temperature_positive = 3, rule.temperature_negative = 0.5; },
    [](LossRule& rule) { rule.gamma_weight.masked_importance = true; },
    [](LossRule& rule) { rule.top_entropy_quantile = 0.3; },
    [](LossRule& rule) { rule.top_entropy_quantile = 0.3, rule.entropy_token_mean = true; },
    [](LossRule& rule) { rule.kl.ratio_weighted = true; },
    [](LossRule& rule) { rule.kl.kind = KlKind::k1, rule.kl.gradient = KlGradient::unbiased; },
    [](LossRule& rule) { rule.kl.kind = KlKind::k2, rule.kl.gradient = KlGradient::unbiased_ratio; },
    [](LossRule& rule) { rule.kl.kind = KlKind::absolute, rule.kl.value_limit = 0.2; },
    [](LossRule& rule) { rule.kl.difference_low = -0.3, rule.kl.difference_high = 0.3; },
};

inline const std::vector<Aggregation> aggregations{Aggregation::token_mean,
                                                   Aggregation::token_sum,
                                                   Aggregation::sequence_mean_token_mean,
                                                   Aggregation::sequence_mean_token_sum,
                                                   Aggregation::constant,
                                                   Aggregation::sequence_mean};

inline void aggregate_by(LossRule& rule, Aggregation kind) {
  rule.aggregation = {kind, 100, kind == Aggregation::sequence_mean_token_mean ? 1e-8 : 0,
                      kind == Aggregation::sequence_mean};
}

inline std::string name_of(Aggregation kind) {
  return "aggregation " + std::to_string(static_cast<int>(kind));
}

// Rules whose ratio is a row's. rule_of(kind): what they start from.
template <typename RuleOf>
std::vector<LossRule> row_ratio_rules(RuleOf&& rule_of) {
  std::vector<LossRule> rules;
  for (const Ratio ratio : {Ratio::sequence, Ratio::sequence_sum}) {
    for (const RatioGradient gradient : {RatioGradient::joint, RatioGradient::own_token}) {
      for (const LossKind kind : {LossKind::policy_gradient, LossKind::clip, LossKind::cispo, LossKind::sapo,
                                  LossKind::dppo_tv, LossKind::kl_cov}) {
        LossRule rule = rule_of(kind);
        rule.ratio = ratio;
        rule.ratio_gradient = gradient;
        rule.clip_low = 0.03;
        rule.clip_high = 0.04;
        rule.log_ratio_high = 2;
        rule.log_ratio_low = -2;
        rule.aggregation.kind = Aggregation::sequence_mean_token_mean;
        rules.push_back(rule);
      }
    }
  }
  return rules;
}

}  // namespace adjudge::rl::testing
