// The body of the kernels of V-trace, Retrace and UPGO, included once per instruction set.
#pragma once
#include <math.h>

#include "native/cpu/doubles.h"
#include "native/cpu/off_policy_returns_kernels.h"
#if defined(__AVX512F__)
#include "native/cpu/lanes16.h"
#else
#include "native/cpu/lanes8.h"
#endif
#include "native/cpu/lanes_math.h"

namespace adjudge {
namespace {

// Elements by, by + 1, ... of low followed by high.
template <int by>
ADJUDGE_INLINE Lanes shifted(const Lanes& low, const Lanes& high) {
#if defined(__AVX512F__)
  const __m512i elements =
      _mm512_alignr_epi32(_mm512_castps_si512(high.value), _mm512_castps_si512(low.value), by);
  return Lanes(_mm512_castsi512_ps(elements));
#else
  return Lanes(__builtin_shufflevector(low.value, high.value, by, by + 1, by + 2, by + 3, by + 4, by + 5,
                                       by + 6, by + 7));
#endif
}

// A block of tokens as one number of the rule's code: in f64, or in f32 where `shortens` allows it.
struct WideBlock {
  using Number = Doubles;
  static Number take(const float* from) { return load_doubles(from); }
  static void put(float* to, const Number& x, bool stream) { store_singles(to, x, stream); }
  static double first(const Number& x) { return x.value[0]; }
  static Number ratio(const float* log_ratios) {
    return exponential(minimum(Doubles(rl::largest_log_ratio),
                               maximum(Doubles(rl::least_log_ratio), load_doubles(log_ratios))));
  }
  static Number product(const Number& a, const Number& b) {
    return minimum(a * b, Doubles(rl::largest_decay));
  }
};

struct SingleBlock {
  using Number = Lanes;
  static Number take(const float* from) { return load_lanes(from, Lanes::width); }
  static void put(float* to, const Number& x, bool stream) {
    if (stream) return stream_lanes(to, x);
    store_lanes(to, x, Lanes::width);
  }
  static double first(const Number& x) {
#if defined(__AVX512F__)
    return static_cast<double>(_mm512_cvtss_f32(x.value));
#else
    return static_cast<double>(x.value[0]);
#endif
  }
  static Number ratio(const float* log_ratios) {
    return exponential(maximum(Lanes(-88.0f), take(log_ratios)));
  }
  static Number product(const Number& a, const Number& b) { return a * b; }
};

// Whether blocks in f32 keep 1e-5: their ratios are wrong by 2e-7 at most, which adds up over 1 / (1 - decay)
// tokens, and lie below e^88 with their bounds.
constexpr double single_decay = 0.98;
constexpr double single_bound = 1e30;

ADJUDGE_INLINE bool shortens(const rl::VtraceRule& rule) {
  return rule.gamma * rule.lambda * rule.c_clip <= single_decay && rule.rho_clip <= single_bound &&
         rule.c_clip <= single_bound && rule.policy_gradient_rho_clip <= single_bound;
}
ADJUDGE_INLINE bool shortens(const rl::RetraceRule& rule) {
  return rule.gamma * rule.lambda * rule.c_clip <= single_decay && rule.c_clip <= single_bound;
}
// Its decisions are those of f64.
ADJUDGE_INLINE bool shortens(const rl::UpgoRule&) { return false; }

// Maps x -> sum + decay x of the tokens become those from the token to the block's end, by doubling steps.
template <typename Block, int by>
ADJUDGE_INLINE void append(rl::Recurrence<typename Block::Number>& maps) {
  using Number = typename Block::Number;
  if constexpr (by < Number::width) {
    maps.sum = multiply_add(maps.decay, shifted<by>(maps.sum, Number(0.0)), maps.sum);
    maps.decay = Block::product(maps.decay, shifted<by>(maps.decay, Number(1.0)));
    append<Block, 2 * by>(maps);
  }
}

enum class Counted { none, some, all };

ADJUDGE_INLINE Counted counted(const uint8_t* mask, int64_t lanes) {
  int64_t count = 0;
  for (int64_t i = 0; i < lanes; ++i) count += mask[i] != 0;
  return count == 0 ? Counted::none : count == lanes ? Counted::all : Counted::some;
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
// block is carried in. Per token 8 bytes in besides log ratios and action values (4 each), 4 out for each
// output; about 45 operations a block, half of them for the ratio. Blocks lie from the row's end, so the bits
// do not depend on addresses.
template <typename Block, template <typename> typename Terms>
ADJUDGE_INLINE void returns_row(const Terms<typename Block::Number>& terms, const Terms<double>& single,
                                const ReturnsRow& row) {
  using Number = typename Block::Number;
  constexpr int64_t lanes = Number::width;
  constexpr bool two = Terms<Number>::outputs == 2;
  double next_value = row.bootstrap;
  double running = Terms<double>::start(row.bootstrap);
  const auto token = [&](int64_t t) {
    if (row.mask != nullptr && row.mask[t] == 0) {
      row.first[t] = 0;
      if constexpr (two) row.second[t] = 0;
      return;
    }
    rl::Step<double> step{row.rewards[t], row.values[t], 0, 1, next_value};
    if constexpr (Terms<double>::takes_action_values) step.action_value = row.action_values[t];
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
      const Counted found = counted(row.mask + t, lanes);
      if (found == Counted::none) {
        Block::put(row.first + t, Number(0.0), row.stream);
        if constexpr (two) Block::put(row.second + t, Number(0.0), row.stream);
        continue;
      }
      if (found == Counted::some) {
        for (int64_t i = lanes; i-- > 0;) token(t + i);
        continue;
      }
    }
    rl::Step<Number> step{Block::take(row.rewards + t), Block::take(row.values + t), Number(0.0), Number(1.0),
                          Number(0.0)};
    step.next_value = shifted<1>(step.value, Number(next_value));
    if constexpr (Terms<Number>::takes_action_values) step.action_value = Block::take(row.action_values + t);
    if (row.log_ratios != nullptr) step.ratio = Block::ratio(row.log_ratios + t);
    rl::Recurrence<Number> maps = terms.recurrence(step);
    append<Block, 1>(maps);
    const Number here = multiply_add(maps.decay, Number(running), maps.sum);
    const rl::Results<Number> results = terms.results(step, shifted<1>(here, Number(running)), here);
    Block::put(row.first + t, results.first, row.stream);
    if constexpr (two) Block::put(row.second + t, results.second, row.stream);
    running = Block::first(here);
    next_value = row.values[t];
  }
  for (t += lanes; t-- > 0;) token(t);
}

template <typename Block, template <typename> typename Terms, typename Rule>
ADJUDGE_INLINE void returns_rows_of(const Rule& rule, const rl::ReturnsBatch<float>& batch, int64_t first,
                                    int64_t end, const ReturnsOutput& output) {
  const Terms<typename Block::Number> terms(rule);
  const Terms<double> single(rule);
  const auto from = [](auto* array, int64_t begin) { return array != nullptr ? array + begin : nullptr; };
  for (int64_t i = first; i < end; ++i) {
    const int64_t begin = batch.cu_seqlens[i], stop = batch.cu_seqlens[i + 1];
    const auto aligned = [&](const float* array) {
      return reinterpret_cast<uintptr_t>(from(array, stop)) % (Block::Number::width * sizeof(float)) == 0;
    };
    returns_row<Block, Terms>(
        terms, single,
        {batch.rewards + begin, batch.values + begin, from(batch.action_values, begin),
         from(batch.log_ratios, begin), from(batch.mask, begin), stop - begin,
         batch.bootstrap_values != nullptr ? static_cast<double>(batch.bootstrap_values[i]) : 0.0,
         output.first + begin, from(output.second, begin),
         output.stream && aligned(output.first) && aligned(output.second)});
  }
}

template <template <typename> typename Terms, typename Rule>
void returns_rows(const Rule& rule, const rl::ReturnsBatch<float>& batch, int64_t first, int64_t end,
                  const ReturnsOutput& output) {
  if (shortens(rule)) {
    returns_rows_of<SingleBlock, Terms>(rule, batch, first, end, output);
  } else {
    returns_rows_of<WideBlock, Terms>(rule, batch, first, end, output);
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
