// The body of the GAE kernels, included once per instruction set.
#pragma once
#include <cstring>

#include "native/cpu/gae_kernels.h"
#include "native/cpu/vector8.h"

namespace adjudge {
namespace {

#if defined(__AVX512F__)
constexpr int64_t gae_wide = 16;
typedef float gae_singles __attribute__((vector_size(64)));
typedef double gae_doubles __attribute__((vector_size(64)));
typedef float gae_half __attribute__((vector_size(32)));
#else
constexpr int64_t gae_wide = 8;
typedef float gae_singles __attribute__((vector_size(32)));
typedef double gae_doubles __attribute__((vector_size(32)));
typedef float gae_half __attribute__((vector_size(16)));
#endif

// Elements by, by + 1, ... of low followed by high.
template <int by, typename Block>
ADJUDGE_INLINE Block shifted(const Block& low, const Block& high) {
  if constexpr (sizeof(Block) / sizeof(low[0]) == 16) {
    return __builtin_shufflevector(low, high, by, by + 1, by + 2, by + 3, by + 4, by + 5, by + 6, by + 7,
                                   by + 8, by + 9, by + 10, by + 11, by + 12, by + 13, by + 14, by + 15);
  } else if constexpr (sizeof(Block) / sizeof(low[0]) == 8) {
    return __builtin_shufflevector(low, high, by, by + 1, by + 2, by + 3, by + 4, by + 5, by + 6, by + 7);
  } else {
    return __builtin_shufflevector(low, high, by, by + 1, by + 2, by + 3);
  }
}

ADJUDGE_INLINE gae_singles fused(const gae_singles& a, const gae_singles& b, const gae_singles& c) {
#if defined(__AVX512F__)
  return (gae_singles)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (gae_singles)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

ADJUDGE_INLINE gae_doubles fused(const gae_doubles& a, const gae_doubles& b, const gae_doubles& c) {
#if defined(__AVX512F__)
  return (gae_doubles)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (gae_doubles)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  return a * b + c;
#endif
}

// x[i] = x[i] + decay x[i+1] + decay^2 x[i+2] + ... within the block, by doubling steps.
template <typename Block, typename Number>
ADJUDGE_INLINE Block suffix_sums(Block x, const Number (&powers)[4]) {
  constexpr int64_t lanes = sizeof(Block) / sizeof(Number);
  const Block zero = {};
  x = fused(zero + powers[0], shifted<1>(x, zero), x);
  x = fused(zero + powers[1], shifted<2>(x, zero), x);
  if constexpr (lanes > 4) x = fused(zero + powers[2], shifted<4>(x, zero), x);
  if constexpr (lanes > 8) x = fused(zero + powers[3], shifted<8>(x, zero), x);
  return x;
}

ADJUDGE_INLINE void put(float* to, const gae_singles& block, bool stream) {
#if defined(__AVX512F__)
  if (stream) return _mm512_stream_ps(to, (__m512)block);
#elif defined(__AVX__)
  if (stream) return _mm256_stream_ps(to, (__m256)block);
#else
  (void)stream;
#endif
  std::memcpy(to, &block, sizeof block);
}

ADJUDGE_INLINE void put(float* to, const gae_doubles& block, bool stream) {
  const gae_half singles = __builtin_convertvector(block, gae_half);
#if defined(__AVX512F__)
  if (stream) return _mm256_stream_ps(to, (__m256)singles);
#elif defined(__AVX__)
  if (stream) return _mm_stream_ps(to, (__m128)singles);
#else
  (void)stream;
#endif
  std::memcpy(to, &singles, sizeof singles);
}

ADJUDGE_INLINE void take(const float* from, gae_singles& block) { std::memcpy(&block, from, sizeof block); }

ADJUDGE_INLINE void take(const float* from, gae_doubles& block) {
  gae_half singles;
  std::memcpy(&singles, from, sizeof singles);
  block = __builtin_convertvector(singles, gae_doubles);
}

ADJUDGE_INLINE bool all_counted(const uint8_t* mask, int64_t count) {
  bool all = true;
  for (int64_t i = 0; i < count; ++i) all &= mask[i] != 0;
  return all;
}

// What a rule makes of a block of Numbers. loss: 1 - gamma, which keeps its digits in f32 where gamma does
// not.
template <typename Block, typename Number>
struct GaeConstants {
  explicit GaeConstants(const rl::GaeRule& rule)
      : gamma(rule.gamma), decay(rule.gamma * rule.lambda), loss(static_cast<Number>(1 - rule.gamma)) {
    constexpr int64_t lanes = sizeof(Block) / sizeof(Number);
    double power = 1;
    for (int64_t i = lanes; i-- > 0;) carried[i] = static_cast<Number>(power *= decay);
    whole = power;
    power = decay;
    for (Number& each : powers) {
      each = static_cast<Number>(power);
      power *= power;
    }
  }

  double gamma, decay;
  Number loss;
  Number powers[4];  // decay to the 1, 2, 4, 8
  Block carried;     // decay^(lanes - i)
  double whole;      // decay^lanes
};

// From the row's end: suffix sums of delta[t] = reward + gamma next value - value within a block, and the
// block after it carried in, in f64. Per token 16 bytes; 18 operations a block. Blocks lie from the row's
// end, so the bits do not depend on addresses.
template <typename Block, typename Number>
ADJUDGE_INLINE void gae_row(const rl::GaeRule& rule, const GaeConstants<Block, Number>& constants,
                            const float* rewards, const float* values, const uint8_t* mask, int64_t count,
                            double bootstrap, float* advantages, float* returns, bool stream) {
  constexpr int64_t lanes = sizeof(Block) / sizeof(Number);
  // Exact as a Number; not a double, whose conversion would wait for the block before.
  Number next = static_cast<Number>(bootstrap);
  double running = 0;
  const auto token = [&](int64_t t) {
    if (mask != nullptr && mask[t] == 0) {
      advantages[t] = returns[t] = 0;
      if (rule.skip_masked) return;
      running = constants.gamma * static_cast<double>(next) + constants.decay * running;
      next = 0;
      return;
    }
    const double here = values[t];
    running = rewards[t] + constants.gamma * static_cast<double>(next) - here + constants.decay * running;
    next = static_cast<Number>(here);
    advantages[t] = static_cast<float>(running);
    returns[t] = static_cast<float>(running + here);
  };
  const Block zero = {};
  const Block opposite = zero - constants.loss;
  int64_t t = count - lanes;
  for (; t >= 0; t -= lanes) {
    if (mask != nullptr && !all_counted(mask + t, lanes)) {
      for (int64_t i = lanes; i-- > 0;) token(t + i);
      continue;
    }
    Block here, reward;
    take(values + t, here);
    take(rewards + t, reward);
    const Block after = shifted<1>(here, zero + next);
    Block sum = suffix_sums<Block, Number>(reward + fused(opposite, after, after - here), constants.powers);
    const double first = sum[0];
    sum = fused(constants.carried, zero + static_cast<Number>(running), sum);
    running = first + constants.whole * running;
    next = here[0];
    put(advantages + t, sum, stream);
    put(returns + t, sum + here, stream);
  }
  for (t += lanes; t-- > 0;) token(t);
}

template <typename Block, typename Number>
ADJUDGE_INLINE void gae_rows_of(const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, int64_t first,
                                int64_t end, const GaeOutput& output) {
  const GaeConstants<Block, Number> constants(rule);
  constexpr size_t bytes = sizeof(Block) / sizeof(Number) * sizeof(float);
  for (int64_t row = first; row < end; ++row) {
    const int64_t begin = batch.cu_seqlens[row], stop = batch.cu_seqlens[row + 1];
    const auto aligned = [&](const float* array) {
      return reinterpret_cast<uintptr_t>(array + stop) % bytes == 0;
    };
    gae_row<Block, Number>(
        rule, constants, batch.rewards + begin, batch.values + begin,
        batch.mask != nullptr ? batch.mask + begin : nullptr, stop - begin,
        batch.bootstrap_values != nullptr ? static_cast<double>(batch.bootstrap_values[row]) : 0.0,
        output.advantages + begin, output.returns + begin,
        output.stream && aligned(output.advantages) && aligned(output.returns));
  }
}

// Beyond this decay the rounding of so many blocks adds up that the blocks themselves are in f64.
constexpr double single_decay = 0.999;

void gae_rows(const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, int64_t first, int64_t end,
              const GaeOutput& output) {
  if (rule.gamma * rule.lambda <= single_decay) {
    gae_rows_of<gae_singles, float>(rule, batch, first, end, output);
  } else {
    gae_rows_of<gae_doubles, double>(rule, batch, first, end, output);
  }
#if defined(__AVX__)
  if (output.stream) _mm_sfence();
#endif
}

}  // namespace
}  // namespace adjudge
