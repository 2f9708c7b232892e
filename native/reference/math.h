// Scalar twins of native/cpu/gemm.h and native/cpu/math.h, in f64 and straight from the formulas: what the
// kernels are tested against. Same arguments as there.
#pragma once
#include <cstdint>

namespace adjudge::reference {

// c[i,j] = sum over p of a[i * row_stride + p * depth_stride] * b[j * column_stride + p * b_depth_stride],
// plus the old c[i,j] if accumulate.
void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
          const float* b, int64_t column_stride, int64_t b_depth_stride, float* c, int64_t ldc,
          bool accumulate);
void rms_norm(const float* x, const float* weight, float epsilon, int64_t rows, int64_t width, float* y,
              float* inverse_rms);
void rms_norm_backward(const float* x, const float* weight, const float* inverse_rms, const float* dy,
                       int64_t rows, int64_t width, float* dx, float* dweight);
void swiglu(const float* gate, const float* up, int64_t count, float* y);
void swiglu_backward(const float* gate, const float* up, const float* dy, int64_t count, float* dgate,
                     float* dup);
float log_sum_exp(const float* logits, int64_t count, float inverse_temperature, float* entropy);
void log_prob_gradient(float* logits, int64_t count, float inverse_temperature, float lse, float entropy,
                       int32_t target, float coefficient, float entropy_coefficient);
float softmax_row(float* scores, int64_t count, int64_t count_padded, float scale);
double sum_of_squares(const float* x, int64_t count);
void adamw(float* w, const float* g, float* m, float* v, int64_t count, float learning_rate, float beta1,
           float beta2, float epsilon, float weight_decay, float bias1, float bias2, float gradient_scale);
void rope(float* x, int64_t rows, int64_t heads, int64_t head_dim, int64_t row_stride,
          const int32_t* positions, const float* cosine, const float* sine, bool inverse);

}  // namespace adjudge::reference
