// The body of kl_rows, included once per instruction set. Reads 8 bytes an element once from memory, a block
// of both rows at a time, about 30 operations with two exponentials; with gradients both rows again from the
// second-level cache, one more exponential (two forward), and writes 4.
#pragma once
#include "native/cpu/kl_rows_kernels.h"
#include "native/cpu/row_powers.h"

namespace adjudge {
namespace {

constexpr double ln2 = 0.69314718055994530942;
constexpr float log2_e = 1.44269504088896341f;
constexpr float kl_smallest_exponent = -126.0f;  // of 2: below it a probability counts as 0

// 2^x of an x held at kl_smallest_exponent.
ADJUDGE_INLINE wide probability(const wide& x) {
  return where_above(x, kl_smallest_exponent, power_of_two(x));
}

// One of the two distributions so far: the largest logit, and the sum of 2^((logit - top) log2 e).
struct KlSide {
  float top = -__builtin_inff();
  double sum = 0;
};

struct KlBlock {
  double policy = 0;  // sums of powers
  double reference = 0;
  double weighted = 0;  // reverse: of 2^a (a - b); forward: of 2^b (b - a)
};

struct KlLaneSums {
  wide policy = wide_splat(0.0f), reference = wide_splat(0.0f), weighted = wide_splat(0.0f);
};

template <bool reverse>
static inline __attribute__((always_inline)) void kl_step(const wide& logits, const wide& reference,
                                                          const wide& policy_top, const wide& reference_top,
                                                          KlLaneSums& sums) {
  const wide log2 = wide_splat(log2_e), smallest = wide_splat(kl_smallest_exponent);
  const wide a = (logits - policy_top) * log2, b = (reference - reference_top) * log2;
  const wide held_a = wide_maximum(smallest, a), held_b = wide_maximum(smallest, b);
  const wide p = probability(held_a), q = probability(held_b);
  sums.policy = sums.policy + p;
  sums.reference = sums.reference + q;
  sums.weighted = sums.weighted + (reverse ? where_above(held_a, kl_smallest_exponent, p * (a - b))
                                           : where_above(held_b, kl_smallest_exponent, q * (b - a)));
}

template <bool reverse>
KlBlock kl_block(const float* logits, const float* reference, int64_t count, float policy_top,
                 float reference_top) {
  const wide p = wide_splat(policy_top), q = wide_splat(reference_top);
  KlLaneSums first, second;
  int64_t i = 0;
  for (; i + 2 * wide_lanes <= count; i += 2 * wide_lanes) {
    kl_step<reverse>(wide_load(logits + i), wide_load(reference + i), p, q, first);
    kl_step<reverse>(wide_load(logits + i + wide_lanes), wide_load(reference + i + wide_lanes), p, q, second);
  }
  for (; i < count; i += wide_lanes) {
    kl_step<reverse>(wide_load(logits + i, count - i, -__builtin_inff()),
                     wide_load(reference + i, count - i, -__builtin_inff()), p, q, first);
  }
  return {static_cast<double>(wide_sum(first.policy + second.policy)),
          static_cast<double>(wide_sum(first.reference + second.reference)),
          static_cast<double>(wide_sum(first.weighted + second.weighted))};
}

// The exponents of a part become relative to `to`; the shift in units of log2 e. A part without any
// probability has none.
double shift_of(float from, float to, double sum) {
  return sum > 0 && from != to ? (static_cast<double>(to) - static_cast<double>(from)) * (1 / ln2) : 0;
}

// Moves a part's sums to larger tops.
void shift_block(KlBlock& part, double policy_shift, double reference_shift, bool reverse) {
  if (policy_shift == 0 && reference_shift == 0) return;
  const double policy = __builtin_exp2(-policy_shift), other = __builtin_exp2(-reference_shift);
  if (reverse)
    part.weighted = policy * (part.weighted + part.policy * (reference_shift - policy_shift));
  else
    part.weighted = other * (part.weighted + part.reference * (policy_shift - reference_shift));
  part.policy *= policy;
  part.reference *= other;
}

float finite_top(float block, float row) {
  if (block != -__builtin_inff()) return block;
  return row != -__builtin_inff() ? row : 0.0f;
}

template <bool reverse>
double kl_row_sums(const KlRow& row, KlSide& policy, KlSide& reference) {
  KlBlock whole;
  for (int64_t begin = 0; begin < row.width; begin += logits_block) {
    const int64_t count = row.width - begin < logits_block ? row.width - begin : logits_block;
    const float* logits = row.logits + begin;
    const float* others = row.reference + begin;
    const float policy_top = finite_top(block_maximum(logits, count), policy.top);
    const float reference_top = finite_top(block_maximum(others, count), reference.top);
    KlBlock block = kl_block<reverse>(logits, others, count, policy_top, reference_top);
    const float new_policy = block.policy > 0 && policy_top > policy.top ? policy_top : policy.top;
    const float new_reference =
        block.reference > 0 && reference_top > reference.top ? reference_top : reference.top;
    shift_block(whole, shift_of(policy.top, new_policy, whole.policy),
                shift_of(reference.top, new_reference, whole.reference), reverse);
    shift_block(block, shift_of(policy_top, new_policy, block.policy),
                shift_of(reference_top, new_reference, block.reference), reverse);
    whole.policy += block.policy;
    whole.reference += block.reference;
    whole.weighted += block.weighted;
    policy.top = new_policy;
    reference.top = new_reference;
  }
  policy.sum = whole.policy;
  reference.sum = whole.reference;
  if (!(policy.sum > 0 && reference.sum > 0)) return __builtin_nan("");
  const double difference = __builtin_log(policy.sum) - __builtin_log(reference.sum);
  return reverse ? ln2 * whole.weighted / policy.sum - difference
                 : ln2 * whole.weighted / reference.sum + difference;
}

struct KlGradientConstants {
  wide policy_top, reference_top, policy_log, reference_log, value;
};

template <bool reverse>
static inline __attribute__((always_inline)) wide kl_gradient(const wide& logits, const wide& reference,
                                                              const KlGradientConstants& k) {
  const wide log2 = wide_splat(log2_e), smallest = wide_splat(kl_smallest_exponent);
  const wide log_p = (logits - k.policy_top) * log2 - k.policy_log;
  const wide log_q = (reference - k.reference_top) * log2 - k.reference_log;
  const wide held = wide_maximum(smallest, log_p);
  const wide p = probability(held);
  if (!reverse) return p - probability(wide_maximum(smallest, log_q));
  const wide slope = (log_p - log_q) * wide_splat(static_cast<float>(ln2)) - k.value;
  return where_above(held, kl_smallest_exponent, p * slope);
}

template <bool reverse>
void kl_row_gradient(const KlRow& row, const KlSide& policy, const KlSide& reference, double value) {
  const auto log2_of = [](double x) { return wide_splat(static_cast<float>(__builtin_log2(x))); };
  const KlGradientConstants constants{wide_splat(policy.top), wide_splat(reference.top), log2_of(policy.sum),
                                      log2_of(reference.sum), wide_splat(static_cast<float>(value))};
  const bool stream =
      row.stream && reinterpret_cast<uintptr_t>(row.gradient) % static_cast<uintptr_t>(wide_lanes * 4) == 0;
  int64_t i = 0;
  for (; i + wide_lanes <= row.width; i += wide_lanes) {
    wide_store(row.gradient + i,
               kl_gradient<reverse>(wide_load(row.logits + i), wide_load(row.reference + i), constants),
               stream);
  }
  if (i < row.width) {
    const int64_t left = row.width - i;
    wide_store(row.gradient + i,
               kl_gradient<reverse>(wide_load(row.logits + i, left, -__builtin_inff()),
                                    wide_load(row.reference + i, left, -__builtin_inff()), constants),
               left);
  }
}

template <bool reverse>
double kl_row_directed(const KlRow& row) {
  KlSide policy, reference;
  const double value = kl_row_sums<reverse>(row, policy, reference);
  if (row.gradient != nullptr) kl_row_gradient<reverse>(row, policy, reference, value);
  return value;
}

double kl_row_body(const KlRow& row) {
  return row.reverse ? kl_row_directed<true>(row) : kl_row_directed<false>(row);
}

}  // namespace
}  // namespace adjudge
