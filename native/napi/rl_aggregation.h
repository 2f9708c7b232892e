// The aggregation of a policy's or a critic's loss, from a rule of JavaScript.
#pragma once

#include "../rules/aggregation.h"
#include "rl_arguments.h"

namespace adjudge::rl_arguments {

inline rl::AggregationRule aggregation_rule(const Napi::Object& from) {
  using rl::Aggregation;
  rl::AggregationRule rule;
  rule.kind = choice<Aggregation>(from, "aggregation",
                                  {{"token_mean", Aggregation::token_mean},
                                   {"token_sum", Aggregation::token_sum},
                                   {"sequence_mean_token_mean", Aggregation::sequence_mean_token_mean},
                                   {"sequence_mean_token_sum", Aggregation::sequence_mean_token_sum},
                                   {"constant", Aggregation::constant},
                                   {"sequence_mean", Aggregation::sequence_mean}});
  rule.constant = number(from, "constant", 1);
  rule.token_epsilon = number(from, "tokenEpsilon", 0);
  rule.count_empty_rows = boolean(from, "countEmptyRows", false);
  return rule;
}

}  // namespace adjudge::rl_arguments
