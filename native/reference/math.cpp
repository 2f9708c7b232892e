#include "native/reference/math.h"

#include <algorithm>
#include <cmath>

namespace adjudge::reference {

static float narrow(double value) { return static_cast<float>(value); }

void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
          const float* b, int64_t column_stride, int64_t b_depth_stride, float* c, int64_t ldc,
          bool accumulate) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = accumulate ? c[i * ldc + j] : 0.0;
      for (int64_t p = 0; p < k; ++p) {
        sum +=
            double{a[i * row_stride + p * depth_stride]} * double{b[j * column_stride + p * b_depth_stride]};
      }
      c[i * ldc + j] = narrow(sum);
    }
  }
}

void rms_norm(const float* x, const float* weight, float epsilon, int64_t rows, int64_t width, float* y,
              float* inverse_rms) {
  for (int64_t row = 0; row < rows; ++row, x += width, y += width) {
    double squares = 0.0;
    for (int64_t i = 0; i < width; ++i) squares += double{x[i]} * x[i];
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(width) + epsilon);
    for (int64_t i = 0; i < width; ++i) y[i] = narrow(x[i] * inverse * weight[i]);
    if (inverse_rms != nullptr) inverse_rms[row] = narrow(inverse);
  }
}

void rms_norm_backward(const float* x, const float* weight, const float* inverse_rms, const float* dy,
                       int64_t rows, int64_t width, float* dx, float* dweight) {
  for (int64_t row = 0; row < rows; ++row, x += width, dy += width, dx += width) {
    const double r = inverse_rms[row];
    double mean = 0.0;
    for (int64_t i = 0; i < width; ++i)
      mean += double{weight[i]} * dy[i] * x[i] * r / static_cast<double>(width);
    for (int64_t i = 0; i < width; ++i) {
      dx[i] = narrow(dx[i] + r * (double{weight[i]} * dy[i] - x[i] * r * mean));
      if (dweight != nullptr) dweight[i] = narrow(dweight[i] + double{dy[i]} * x[i] * r);
    }
  }
}

static double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

void swiglu(const float* gate, const float* up, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = narrow(gate[i] * sigmoid(gate[i]) * up[i]);
}

void swiglu_backward(const float* gate, const float* up, const float* dy, int64_t count, float* dgate,
                     float* dup) {
  for (int64_t i = 0; i < count; ++i) {
    const double g = gate[i], u = up[i], s = sigmoid(g);
    dgate[i] = narrow(dy[i] * u * s * (1.0 + g * (1.0 - s)));
    dup[i] = narrow(dy[i] * g * s);
  }
}

float log_sum_exp(const float* logits, int64_t count, float inverse_temperature, float* entropy) {
  const double top = double{*std::max_element(logits, logits + count)} * inverse_temperature;
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(double{logits[i]} * inverse_temperature - top);
  const double lse = top + std::log(sum);
  if (entropy != nullptr) {
    double total = 0.0;
    for (int64_t i = 0; i < count; ++i) {
      const double log_prob = double{logits[i]} * inverse_temperature - lse;
      if (std::exp(log_prob) > 0.0) total -= std::exp(log_prob) * log_prob;
    }
    *entropy = narrow(total);
  }
  return narrow(lse);
}

void log_prob_gradient(float* logits, int64_t count, float inverse_temperature, float lse, float entropy,
                       int32_t target, float coefficient, float entropy_coefficient) {
  for (int64_t i = 0; i < count; ++i) {
    const double log_prob = double{logits[i]} * inverse_temperature - lse;
    const double p = std::exp(log_prob);
    const double hit = i == target ? 1.0 : 0.0;
    const double entropy_part = p > 0.0 ? -p * (log_prob + entropy) : 0.0;
    logits[i] = narrow(inverse_temperature * (coefficient * (hit - p) + entropy_coefficient * entropy_part));
  }
}

float softmax_row(float* scores, int64_t count, int64_t count_padded, float scale) {
  const float lse = log_sum_exp(scores, count, scale, nullptr);
  for (int64_t i = 0; i < count; ++i) scores[i] = narrow(std::exp(double{scores[i]} * scale - lse));
  for (int64_t i = count; i < count_padded; ++i) scores[i] = 0.0f;
  return lse;
}

double sum_of_squares(const float* x, int64_t count) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; ++i) sum += double{x[i]} * x[i];
  return sum;
}

void adamw(float* w, const float* g, float* m, float* v, int64_t count, float learning_rate, float beta1,
           float beta2, float epsilon, float weight_decay, float bias1, float bias2, float gradient_scale) {
  for (int64_t i = 0; i < count; ++i) {
    const double gradient = double{g[i]} * gradient_scale;
    const double first = double{m[i]} * beta1 + gradient * (1.0 - beta1);
    const double second = double{v[i]} * beta2 + gradient * gradient * (1.0 - beta2);
    m[i] = narrow(first);
    v[i] = narrow(second);
    const double update = first / bias1 / (std::sqrt(second / bias2) + epsilon);
    w[i] = narrow(w[i] * (1.0 - double{learning_rate} * weight_decay) - learning_rate * update);
  }
}

void rope(float* x, int64_t rows, int64_t heads, int64_t head_dim, int64_t row_stride,
          const int32_t* positions, const float* cosine, const float* sine, bool inverse) {
  const int64_t half = head_dim / 2;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t head = 0; head < heads; ++head) {
      float* pair = x + row * row_stride + head * head_dim;
      for (int64_t i = 0; i < half; ++i) {
        const double c = cosine[positions[row] * half + i];
        const double s = (inverse ? -1.0 : 1.0) * sine[positions[row] * half + i];
        const double first = pair[i], second = pair[i + half];
        pair[i] = narrow(first * c - second * s);
        pair[i + half] = narrow(second * c + first * s);
      }
    }
  }
}

}  // namespace adjudge::reference
