#pragma once

#include <math.h>

#include "rules/device.h"

// The critic's error at one token, for the processor and for kernels.
namespace adjudge::rl {

struct ValueError {
  double square;
  double slope;  // with respect to the value
  bool clipped;
};

// max((v - R)^2, (clip(v) - R)^2) (Schulman et al.'s PPO code); at a tie the slope is the mean of both, as
// torch does.
ADJUDGE_DEVICE ValueError error_of(double value, double old_value, double target, double clip) {
  const double free = value - target;
  const double bounded = fmin(fmax(value, old_value - clip), old_value + clip);
  const double held = bounded - target;
  const double free_slope = 2 * free;
  const double held_slope = bounded == value ? 2 * held : 0;
  const double free_square = free * free;
  const double held_square = held * held;
  if (held_square > free_square) return {held_square, held_slope, true};
  if (held_square < free_square) return {free_square, free_slope, false};
  return {free_square, (free_slope + held_slope) / 2, false};
}

}  // namespace adjudge::rl
