// The body of the value loss, included once per instruction set. Reads 8 bytes a token, 12 with a clip, and
// the mask; writes 4; 30 to 40 f64 operations.
#pragma once
#include "native/cpu/doubles.h"
#include "native/cpu/value_loss_kernels.h"
#include "native/rules/value_terms.h"

namespace adjudge {
namespace {

struct ValueLanes {
  Doubles loss = 0, values = 0, errors = 0, returns = 0, return_squares = 0, differences = 0,
          difference_squares = 0;
  i64_register clipped = {};
};

struct ValueConstants {
  Doubles weight, clip, return_pivot, difference_pivot;
};

// `left` tokens from i on: a whole vector, or what is left at an end.
template <bool clips, bool masked>
static inline __attribute__((always_inline)) void value_step(const ValueBlock& b,
                                                             const ValueConstants& constants, int64_t i,
                                                             int64_t left, bool stream, ValueLanes& sums) {
  const DoubleMask counted =
      masked ? nonzero_doubles(b.mask != nullptr ? b.mask + i : nullptr, left) : DoubleMask{};
  const auto keep = [&](const Doubles& x) __attribute__((always_inline)) {
    return masked ? only(counted, x) : x;
  };
  const Doubles value = keep(load_doubles(b.values + i, left));
  const Doubles target = keep(load_doubles(b.returns + i, left));
  const Doubles weight = b.weights != nullptr ? load_doubles(b.weights + i, left) : constants.weight;
  const Doubles free = value - target;
  rl::ValueError<Doubles> error = rl::free_value_error(value, target);
  if constexpr (clips) {
    error =
        rl::clipped_value_error(value, keep(load_doubles(b.old_values + i, left)), target, constants.clip);
    sums.clipped -= masked ? error.clipped.value & counted.value : error.clipped.value;
  }
  const Doubles gradient = keep(weight * error.slope);
  if (left >= Doubles::width)
    store_singles(b.gradients + i, gradient, stream);
  else
    store_singles(b.gradients + i, gradient, left);
  const Doubles moved_return = keep(target - constants.return_pivot);
  const Doubles moved_difference = keep(free - constants.difference_pivot);
  sums.loss = sums.loss + keep(weight * error.square);
  sums.values = sums.values + value;
  sums.errors = sums.errors + free * free;
  sums.returns = sums.returns + moved_return;
  sums.return_squares = sums.return_squares + moved_return * moved_return;
  sums.differences = sums.differences + moved_difference;
  sums.difference_squares = sums.difference_squares + moved_difference * moved_difference;
}

template <bool clips, bool masked>
void value_sweep(const ValueBlock& block, ValueLanes& sums) {
  const ValueBlock b = block;
  const ValueConstants constants{b.weight, b.clip, b.return_pivot, b.difference_pivot};
  ValueLanes local;
  const auto misplaced = static_cast<int64_t>(reinterpret_cast<uintptr_t>(b.gradients) / 4 % Doubles::width);
  int64_t i = 0;
  if (b.stream && misplaced != 0) {
    i = Doubles::width - misplaced < b.count ? Doubles::width - misplaced : b.count;
    value_step<clips, true>(b, constants, 0, i, false, local);
  }
  for (; i + Doubles::width <= b.count; i += Doubles::width)
    value_step<clips, masked>(b, constants, i, Doubles::width, b.stream, local);
  if (i < b.count) value_step<clips, true>(b, constants, i, b.count - i, false, local);
  sums = local;
}

void value_loss_block(const ValueBlock& block, ValueSums& sums) {
  ValueLanes lanes;
  if (block.old_values != nullptr)
    block.mask != nullptr ? value_sweep<true, true>(block, lanes) : value_sweep<true, false>(block, lanes);
  else
    block.mask != nullptr ? value_sweep<false, true>(block, lanes) : value_sweep<false, false>(block, lanes);
  sums.loss += sum_of(lanes.loss);
  sums.values += sum_of(lanes.values);
  sums.errors += sum_of(lanes.errors);
  sums.returns += sum_of(lanes.returns);
  sums.return_squares += sum_of(lanes.return_squares);
  sums.differences += sum_of(lanes.differences);
  sums.difference_squares += sum_of(lanes.difference_squares);
  sums.clipped += sum_of(lanes.clipped);
}

}  // namespace
}  // namespace adjudge
