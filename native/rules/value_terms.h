#pragma once

#include "rules/double_lane.h"
#include "rules/scalar_lane.h"

// The critic's error at one token, or at a vector of them.
namespace adjudge::rl {

template <typename Number>
struct ValueError {
  Number square;
  Number slope;                                // with respect to the value
  decltype(less(Number{}, Number{})) clipped;  // the clipped error is the larger one
};

// (v - R)^2 and its slope.
template <typename Number>
ADJUDGE_DEVICE ValueError<Number> free_value_error(Number value, Number target) {
  const Number free = value - target;
  return {free * free, free + free, less(free, free)};
}

// max((v - R)^2, (clip(v) - R)^2) (Schulman et al.'s PPO code); at a tie of a value beyond the clip the slope
// is the mean of both, as torch does.
template <typename Number>
ADJUDGE_DEVICE ValueError<Number> clipped_value_error(Number value, Number old_value, Number target,
                                                      Number clip) {
  const Number free = value - target;
  const Number bounded = minimum(maximum(value, old_value - clip), old_value + clip);
  const Number held = bounded - target;
  const Number free_square = free * free;
  const Number held_square = held * held;
  const auto clipped = less(free_square, held_square);
  const auto tie = both(equal(free_square, held_square), opposite(equal(bounded, value)));
  const Number slope = select(clipped, Number(0), select(tie, free, free + free));
  return {select(clipped, held_square, free_square), slope, clipped};
}

}  // namespace adjudge::rl
