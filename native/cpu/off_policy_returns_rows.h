// The body of the kernels of V-trace, Retrace and UPGO, included once per instruction set.
#pragma once
#include <math.h>

#include "native/cpu/doubles.h"
#include "native/cpu/off_policy_returns_kernels.h"

namespace adjudge {
namespace {

// Maps x -> sum + decay x of the tokens become those from the token to the block's end, by doubling steps.
template <int by>
ADJUDGE_INLINE void append(rl::Recurrence<Doubles>& maps) {
  if constexpr (by < Doubles::width) {
    maps.sum = multiply_add(maps.decay, shifted<by>(maps.sum, Doubles(0.0)), maps.sum);
    maps.decay = minimum(maps.decay * shifted<by>(maps.decay, Doubles(1.0)), Doubles(rl::largest_decay));
    append<2 * by>(maps);
  }
}

enum class Counted { none, some, all };

ADJUDGE_INLINE Counted counted(const uint8_t* mask) {
  int64_t count = 0;
  for (int64_t i = 0; i < Doubles::width; ++i) count += mask[i] != 0;
  return count == 0 ? Counted::none : count == Doubles::width ? Counted::all : Counted::some;
}

// The arrays of one row; absent ones null.
struct ReturnsRow {
  const float* rewards;
  const float* values;
  const float* action_values;
  const float* log_ratios;
  const uint8_t* mask;
  int64_t count;
  double bootstrap;
  float* first;
  float* second;
  bool stream;
};

// From the row's end: the maps of a block's tokens are scanned in the register, and what lies behind the
// block is carried in. All in f64, because a decay near 1 adds up the roundings of a whole row. Per token 8
// bytes in besides log ratios and action values (4 each), 4 out for each output; about 45 operations a block,
// half of them for the ratio. Blocks lie from the row's end, so the bits do not depend on addresses.
template <template <typename> typename Terms>
ADJUDGE_INLINE void returns_row(const Terms<Doubles>& terms, const Terms<double>& single,
                                const ReturnsRow& row) {
  constexpr int64_t lanes = Doubles::width;
  constexpr bool two = Terms<Doubles>::outputs == 2;
  double next_value = row.bootstrap;
  double running = Terms<double>::start(row.bootstrap);
  const auto token = [&](int64_t t) {
    if (row.mask != nullptr && row.mask[t] == 0) {
      row.first[t] = 0;
      if constexpr (two) row.second[t] = 0;
      return;
    }
    rl::Step<double> step{row.rewards[t], row.values[t], 0, 1, next_value};
    if constexpr (Terms<Doubles>::takes_action_values) step.action_value = row.action_values[t];
    if (row.log_ratios != nullptr) {
      const double log_ratio = row.log_ratios[t];
      step.ratio = ::exp(rl::minimum(rl::largest_log_ratio, rl::maximum(rl::least_log_ratio, log_ratio)));
    }
    const rl::Recurrence<double> map = single.recurrence(step);
    const double here = map.sum + map.decay * running;
    const rl::Results<double> results = single.results(step, running, here);
    row.first[t] = static_cast<float>(results.first);
    if constexpr (two) row.second[t] = static_cast<float>(results.second);
    running = here;
    next_value = step.value;
  };
  int64_t t = row.count - lanes;
  for (; t >= 0; t -= lanes) {
    if (row.mask != nullptr) {
      const Counted found = counted(row.mask + t);
      if (found == Counted::none) {
        store_singles(row.first + t, Doubles(0.0), row.stream);
        if constexpr (two) store_singles(row.second + t, Doubles(0.0), row.stream);
        continue;
      }
      if (found == Counted::some) {
        for (int64_t i = lanes; i-- > 0;) token(t + i);
        continue;
      }
    }
    rl::Step<Doubles> step{load_doubles(row.rewards + t), load_doubles(row.values + t), Doubles(0.0),
                           Doubles(1.0), Doubles(0.0)};
    step.next_value = shifted<1>(step.value, Doubles(next_value));
    if constexpr (Terms<Doubles>::takes_action_values)
      step.action_value = load_doubles(row.action_values + t);
    if (row.log_ratios != nullptr) {
      step.ratio =
          exponential(minimum(Doubles(rl::largest_log_ratio),
                              maximum(Doubles(rl::least_log_ratio), load_doubles(row.log_ratios + t))));
    }
    rl::Recurrence<Doubles> maps = terms.recurrence(step);
    append<1>(maps);
    const Doubles here = multiply_add(maps.decay, Doubles(running), maps.sum);
    const rl::Results<Doubles> results = terms.results(step, shifted<1>(here, Doubles(running)), here);
    store_singles(row.first + t, results.first, row.stream);
    if constexpr (two) store_singles(row.second + t, results.second, row.stream);
    running = here.value[0];
    next_value = step.value.value[0];
  }
  for (t += lanes; t-- > 0;) token(t);
}

template <template <typename> typename Terms, typename Rule>
void returns_rows(const Rule& rule, const rl::ReturnsBatch<float>& batch, int64_t first, int64_t end,
                  const ReturnsOutput& output) {
  const Terms<Doubles> terms(rule);
  const Terms<double> single(rule);
  const auto from = [](auto* array, int64_t begin) { return array != nullptr ? array + begin : nullptr; };
  for (int64_t i = first; i < end; ++i) {
    const int64_t begin = batch.cu_seqlens[i], stop = batch.cu_seqlens[i + 1];
    const auto aligned = [&](const float* array) {
      return reinterpret_cast<uintptr_t>(from(array, stop)) % sizeof(f32_half) == 0;
    };
    returns_row<Terms>(
        terms, single,
        {batch.rewards + begin, batch.values + begin, from(batch.action_values, begin),
         from(batch.log_ratios, begin), from(batch.mask, begin), stop - begin,
         batch.bootstrap_values != nullptr ? static_cast<double>(batch.bootstrap_values[i]) : 0.0,
         output.first + begin, from(output.second, begin),
         output.stream && aligned(output.first) && aligned(output.second)});
  }
#if defined(__AVX__)
  if (output.stream) _mm_sfence();
#endif
}

constexpr ReturnsKernels returns_kernels{returns_rows<rl::VtraceTerms, rl::VtraceRule>,
                                         returns_rows<rl::RetraceTerms, rl::RetraceRule>,
                                         returns_rows<rl::UpgoTerms, rl::UpgoRule>};

}  // namespace
}  // namespace adjudge
