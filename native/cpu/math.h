// Row and element-wise operations of the transformer on the CPU, f32. All sums have a fixed order, so results
// do not depend on the number of threads. Functions marked "parallel" use the thread pool, the others do not.
#pragma once
#include <cstdint>

namespace adjudge {

// y = x / sqrt(mean(x²) + epsilon) * weight per row of `width`; inverse_rms [rows] may be null. Parallel over
// rows.
void rms_norm(const float* x, const float* weight, float epsilon, int64_t rows, int64_t width, float* y,
              float* inverse_rms);
// dx += and dweight += (may be null; summed over rows in ascending order per column). Parallel.
void rms_norm_backward(const float* x, const float* weight, const float* inverse_rms, const float* dy,
                       int64_t rows, int64_t width, float* dx, float* dweight);
// y = silu(gate) * up. Parallel.
void swiglu(const float* gate, const float* up, int64_t count, float* y);
// Gradients of swiglu; dgate and dup may alias gate and up. Parallel.
void swiglu_backward(const float* gate, const float* up, const float* dy, int64_t count, float* dgate,
                     float* dup);
// x += y. Parallel.
void add(float* x, const float* y, int64_t count);

// Softmax over one row of logits * inverse_temperature: returns the log-sum-exp of the scaled logits and, if
// not null, the distribution's entropy in nats.
float log_sum_exp(const float* logits, int64_t count, float inverse_temperature, float* entropy);
// In place: logits[i] <- inverse_temperature * (coefficient * (onehot(target) - p_i) + entropy_coefficient *
// (-p_i * (log p_i + H))), the gradient of coefficient * log p_target + entropy_coefficient * H.
void log_prob_gradient(float* logits, int64_t count, float inverse_temperature, float lse, float entropy,
                       int32_t target, float coefficient, float entropy_coefficient);

// One row of attention: scores[0, count) <- softmax(scores * scale), scores[count, count_padded) <- 0.
// Returns the log-sum-exp of the scaled scores.
float softmax_row(float* scores, int64_t count, int64_t count_padded, float scale);
// scores[i] <- exp(scores[i] * scale - lse) for i < count, 0 up to count_padded.
void exp_minus(float* scores, int64_t count, int64_t count_padded, float scale, float lse);

// Sum of squares in f64, in a fixed order. Parallel.
double sum_of_squares(const float* x, int64_t count);
// One step of AdamW (Loshchilov & Hutter 2019), decay decoupled: w *= 1 - learning_rate * weight_decay first.
// bias1 = 1 - beta1^t, bias2 = 1 - beta2^t; the gradient is g * gradient_scale. Parallel.
void adamw(float* w, const float* g, float* m, float* v, int64_t count, float learning_rate, float beta1,
           float beta2, float epsilon, float weight_decay, float bias1, float bias2, float gradient_scale);

// Rotary position embedding, half-split pairs (i, i + head_dim/2), in place: rows of `heads` heads. cosine
// and sine are [positions, head_dim/2]; `inverse` rotates back (the gradient).
void rope(float* x, int64_t rows, int64_t heads, int64_t head_dim, int64_t row_stride,
          const int32_t* positions, const float* cosine, const float* sine, bool inverse);

}  // namespace adjudge
