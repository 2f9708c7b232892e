// The bodies of the math table, included once per instruction set (math_portable.cpp, math_avx2.cpp).
#pragma once
#include "native/cpu/math_kernels.h"
#include "native/cpu/vector8.h"

namespace adjudge {
namespace {

constexpr int64_t lanes = 8;
constexpr int64_t sum_block = 4096;             // f32 partial sums of this many terms are gathered in f64
constexpr float smallest_difference = -104.0f;  // e^-104 is 0 in f32; keeps 0 * -inf out of the entropy

float rms_norm_row(const float* x, const float* weight, float epsilon, int64_t width, float* y) {
  double total = 0.0;
  for (int64_t begin = 0; begin < width; begin += sum_block) {
    const int64_t end = begin + sum_block < width ? begin + sum_block : width;
    f32x8 sum = splat(0.0f);
    for (int64_t i = begin; i < end; i += lanes) {
      const f32x8 value = load(x + i, end - i, 0.0f);
      sum += value * value;
    }
    total += sum_of_lanes(sum);
  }
  const float inverse =
      static_cast<float>(1.0 / __builtin_sqrt(total / static_cast<double>(width) + epsilon));
  for (int64_t i = 0; i < width; i += lanes) {
    store(y + i, width - i, load(x + i, width - i, 0.0f) * inverse * load(weight + i, width - i, 0.0f));
  }
  return inverse;
}

// With x̂ = x r and r = 1 / rms: dx = r (w dy - x̂ mean(w dy x̂)).
void rms_norm_backward_row(const float* x, const float* weight, float inverse_rms, const float* dy,
                           int64_t width, float* dx) {
  double total = 0.0;
  for (int64_t begin = 0; begin < width; begin += sum_block) {
    const int64_t end = begin + sum_block < width ? begin + sum_block : width;
    f32x8 sum = splat(0.0f);
    for (int64_t i = begin; i < end; i += lanes) {
      sum += load(weight + i, end - i, 0.0f) * load(dy + i, end - i, 0.0f) * load(x + i, end - i, 0.0f);
    }
    total += sum_of_lanes(sum);
  }
  const float mean = static_cast<float>(total / static_cast<double>(width)) * inverse_rms * inverse_rms;
  for (int64_t i = 0; i < width; i += lanes) {
    const int64_t left = width - i;
    const f32x8 scaled = load(weight + i, left, 0.0f) * load(dy + i, left, 0.0f);
    const f32x8 gradient = (scaled - load(x + i, left, 0.0f) * mean) * inverse_rms;
    store(dx + i, left, load(dx + i, left, 0.0f) + gradient);
  }
}

void rms_norm_backward_weight(const float* x, const float* inverse_rms, const float* dy, int64_t rows,
                              int64_t width, int64_t columns, float* dweight) {
  for (int64_t i = 0; i < columns; i += lanes) {
    const int64_t left = columns - i;
    f32x8 sum = load(dweight + i, left, 0.0f);
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = row * width + i;
      sum += load(dy + at, left, 0.0f) * (load(x + at, left, 0.0f) * inverse_rms[row]);
    }
    store(dweight + i, left, sum);
  }
}

void swiglu(const float* gate, const float* up, int64_t count, float* y) {
  for (int64_t i = 0; i < count; i += lanes) {
    const f32x8 g = load(gate + i, count - i, 0.0f);
    store(y + i, count - i, g / (exponential(-g) + 1.0f) * load(up + i, count - i, 0.0f));
  }
}

// d silu(g) / dg = s (1 + g (1 - s)), s = sigmoid(g).
void swiglu_backward(const float* gate, const float* up, const float* dy, int64_t count, float* dgate,
                     float* dup) {
  for (int64_t i = 0; i < count; i += lanes) {
    const int64_t left = count - i;
    const f32x8 g = load(gate + i, left, 0.0f);
    const f32x8 u = load(up + i, left, 0.0f);
    const f32x8 d = load(dy + i, left, 0.0f);
    const f32x8 sigmoid = 1.0f / (exponential(-g) + 1.0f);
    store(dgate + i, left, d * u * (sigmoid * (g * (1.0f - sigmoid) + 1.0f)));
    store(dup + i, left, d * (g * sigmoid));
  }
}

void add(float* x, const float* y, int64_t count) {
  for (int64_t i = 0; i < count; i += lanes) {
    store(x + i, count - i, load(x + i, count - i, 0.0f) + load(y + i, count - i, 0.0f));
  }
}

float maximum_of(const float* x, int64_t count) {
  f32x8 result = splat(-__builtin_inff());
  for (int64_t i = 0; i < count; i += lanes)
    result = maximum(load(x + i, count - i, -__builtin_inff()), result);
  return maximum_of_lanes(result);
}

// H = log S - T / S with S = sum e^d, T = sum d e^d, d = z - max z.
float log_sum_exp(const float* logits, int64_t count, float scale, float* entropy) {
  const float top = maximum_of(logits, count) * scale;
  double sum = 0.0, weighted = 0.0;
  for (int64_t begin = 0; begin < count; begin += sum_block) {
    const int64_t end = begin + sum_block < count ? begin + sum_block : count;
    f32x8 block_sum = splat(0.0f), block_weighted = splat(0.0f);
    for (int64_t i = begin; i < end; i += lanes) {
      const f32x8 difference = load(logits + i, end - i, -__builtin_inff()) * scale - top;
      const f32x8 limited = difference < splat(smallest_difference) ? splat(smallest_difference) : difference;
      const f32x8 value = exponential(limited);
      block_sum += value;
      block_weighted += value * limited;
    }
    sum += sum_of_lanes(block_sum);
    weighted += sum_of_lanes(block_weighted);
  }
  const double log_sum = __builtin_log(sum);
  if (entropy != nullptr) *entropy = static_cast<float>(log_sum - weighted / sum);
  return static_cast<float>(top + log_sum);
}

void log_prob_gradient(float* logits, int64_t count, float scale, float lse, float entropy, int32_t target,
                       float coefficient, float entropy_coefficient) {
  const float target_logit = logits[target];
  const float policy = coefficient * scale;
  const float exploration = entropy_coefficient * scale;
  for (int64_t i = 0; i < count; i += lanes) {
    const f32x8 log_prob = load(logits + i, count - i, -__builtin_inff()) * scale - lse;
    const f32x8 limited = log_prob < splat(smallest_difference) ? splat(smallest_difference) : log_prob;
    const f32x8 p = exponential(limited);
    store(logits + i, count - i, -p * (policy + exploration * (limited + entropy)));
  }
  // The target's own entry again, without cancellation where p is close to 1.
  const float log_prob = target_logit * scale - lse;
  const float limited = log_prob < smallest_difference ? smallest_difference : log_prob;
  const float p = exponential(splat(limited))[0];
  logits[target] = policy * (1.0f - p) - exploration * (p * (limited + entropy));
}

float softmax_row(float* scores, int64_t count, int64_t count_padded, float scale) {
  const float top = maximum_of(scores, count) * scale;
  f32x8 sums = splat(0.0f);
  for (int64_t i = 0; i < count; i += lanes) {
    const f32x8 value = exponential(load(scores + i, count - i, -__builtin_inff()) * scale - top);
    store(scores + i, count - i, value);
    sums += value;
  }
  const float sum = sum_of_lanes(sums);
  const float inverse = 1.0f / sum;
  for (int64_t i = 0; i < count; i += lanes)
    store(scores + i, count - i, load(scores + i, count - i, 0.0f) * inverse);
  for (int64_t i = count; i < count_padded; ++i) scores[i] = 0.0f;
  return top + __builtin_logf(sum);
}

void exp_minus(float* scores, int64_t count, int64_t count_padded, float scale, float lse) {
  for (int64_t i = 0; i < count; i += lanes) {
    store(scores + i, count - i, exponential(load(scores + i, count - i, -__builtin_inff()) * scale - lse));
  }
  for (int64_t i = count; i < count_padded; ++i) scores[i] = 0.0f;
}

double sum_of_squares(const float* x, int64_t count) {
  double sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    for (int64_t j = 0; j < lanes; ++j)
      sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  }
  for (int64_t j = 0; i + j < count; ++j)
    sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

void adamw(float* w, const float* g, float* m, float* v, int64_t count, const AdamW& step) {
  const float keep = 1.0f - step.learning_rate * step.weight_decay;
  const float rate = step.learning_rate / step.bias1;
  const float inverse_bias2 = 1.0f / step.bias2;
  for (int64_t i = 0; i < count; i += lanes) {
    const int64_t left = count - i;
    const f32x8 gradient = load(g + i, left, 0.0f) * step.gradient_scale;
    const f32x8 first = load(m + i, left, 0.0f) * step.beta1 + gradient * (1.0f - step.beta1);
    const f32x8 second = load(v + i, left, 0.0f) * step.beta2 + gradient * gradient * (1.0f - step.beta2);
    store(m + i, left, first);
    store(v + i, left, second);
    const f32x8 root = square_root(second * inverse_bias2) + step.epsilon;
    store(w + i, left, load(w + i, left, 0.0f) * keep - first * rate / root);
  }
}

void rotate(float* x, int64_t half, const float* cosine, const float* sine, float sign) {
  for (int64_t i = 0; i < half; i += lanes) {
    const int64_t left = half - i;
    const f32x8 c = load(cosine + i, left, 0.0f);
    const f32x8 s = load(sine + i, left, 0.0f) * sign;
    const f32x8 first = load(x + i, left, 0.0f);
    const f32x8 second = load(x + half + i, left, 0.0f);
    store(x + i, left, first * c - second * s);
    store(x + half + i, left, second * c + first * s);
  }
}

constexpr MathKernels math_table = {rms_norm_row, rms_norm_backward_row, rms_norm_backward_weight,
                                    swiglu,       swiglu_backward,       add,
                                    log_sum_exp,  log_prob_gradient,     softmax_row,
                                    exp_minus,    sum_of_squares,        adamw,
                                    rotate};

}  // namespace
}  // namespace adjudge
