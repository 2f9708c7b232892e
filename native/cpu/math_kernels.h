// The table of row and range operations; see math.h for what each computes. Every instruction set runs the
// same sequence of f32 operations (no contraction), so the bits agree between them.
#pragma once
#include <cstdint>

namespace adjudge {

struct AdamW {
  float learning_rate, beta1, beta2, epsilon, weight_decay, bias1, bias2, gradient_scale;
};

struct MathKernels {
  float (*rms_norm_row)(const float* x, const float* weight, float epsilon, int64_t width, float* y);
  void (*rms_norm_backward_row)(const float* x, const float* weight, float inverse_rms, const float* dy,
                                int64_t width, float* dx);
  // dweight[0, columns) += sum over rows of dy * x * inverse_rms; row stride `width`.
  void (*rms_norm_backward_weight)(const float* x, const float* inverse_rms, const float* dy, int64_t rows,
                                   int64_t width, int64_t columns, float* dweight);
  void (*swiglu)(const float* gate, const float* up, int64_t count, float* y);
  void (*swiglu_backward)(const float* gate, const float* up, const float* dy, int64_t count, float* dgate,
                          float* dup);
  void (*add)(float* x, const float* y, int64_t count);
  float (*log_sum_exp)(const float* logits, int64_t count, float scale, float* entropy);
  void (*log_prob_gradient)(float* logits, int64_t count, float scale, float lse, float entropy,
                            int32_t target, float coefficient, float entropy_coefficient);
  float (*softmax_row)(float* scores, int64_t count, int64_t count_padded, float scale);
  void (*exp_minus)(float* scores, int64_t count, int64_t count_padded, float scale, float lse);
  double (*sum_of_squares)(const float* x, int64_t count);
  void (*adamw)(float* w, const float* g, float* m, float* v, int64_t count, const AdamW& step);
  // One head: pairs (x[i], x[i + half]) turned by the angle (cosine[i], sign * sine[i]).
  void (*rotate)(float* x, int64_t half, const float* cosine, const float* sine, float sign);
};

extern const MathKernels math_portable;
#if defined(__x86_64__)
extern const MathKernels math_avx2;
#endif

}  // namespace adjudge
