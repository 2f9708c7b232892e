#include "native/cpu/math.h"

#include <algorithm>
#include <vector>

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/math_kernels.h"

namespace adjudge {
namespace {

constexpr int64_t chunk = 16384;  // elements of one work item: fixed, so sums do not depend on the threads
constexpr int64_t column_chunk = 128;  // columns of one work item of a reduction over rows

const MathKernels& kernels() {
#if defined(__x86_64__)
  static const MathKernels& selected =
      selected_instruction_set() == InstructionSet::portable ? math_portable : math_avx2;
  return selected;
#else
  return math_portable;
#endif
}

// body(begin, count) over [0, total) in pieces of `size`; a single piece stays on the calling thread.
template <typename Body>
void in_chunks(int64_t total, int64_t size, const Body& body) {
  if (total <= size) {
    if (total > 0) body(0, total);
    return;
  }
  parallel_for((total + size - 1) / size, [&](int64_t item, int) {
    const int64_t begin = item * size;
    body(begin, std::min(size, total - begin));
  });
}

int64_t rows_per_chunk(int64_t width) { return std::max<int64_t>(1, chunk / std::max<int64_t>(1, width)); }

}  // namespace

void rms_norm(const float* x, const float* weight, float epsilon, int64_t rows, int64_t width, float* y,
              float* inverse_rms) {
  in_chunks(rows, rows_per_chunk(width), [&](int64_t begin, int64_t count) {
    for (int64_t row = begin; row < begin + count; ++row) {
      const float inverse = kernels().rms_norm_row(x + row * width, weight, epsilon, width, y + row * width);
      if (inverse_rms != nullptr) inverse_rms[row] = inverse;
    }
  });
}

void rms_norm_backward(const float* x, const float* weight, const float* inverse_rms, const float* dy,
                       int64_t rows, int64_t width, float* dx, float* dweight) {
  if (dweight != nullptr && rows > 0) {
    in_chunks(width, column_chunk, [&](int64_t begin, int64_t count) {
      kernels().rms_norm_backward_weight(x + begin, inverse_rms, dy + begin, rows, width, count,
                                         dweight + begin);
    });
  }
  in_chunks(rows, rows_per_chunk(width), [&](int64_t begin, int64_t count) {
    for (int64_t row = begin; row < begin + count; ++row) {
      const int64_t at = row * width;
      kernels().rms_norm_backward_row(x + at, weight, inverse_rms[row], dy + at, width, dx + at);
    }
  });
}

void swiglu(const float* gate, const float* up, int64_t count, float* y) {
  in_chunks(count, chunk,
            [&](int64_t at, int64_t size) { kernels().swiglu(gate + at, up + at, size, y + at); });
}

void swiglu_backward(const float* gate, const float* up, const float* dy, int64_t count, float* dgate,
                     float* dup) {
  in_chunks(count, chunk, [&](int64_t at, int64_t size) {
    kernels().swiglu_backward(gate + at, up + at, dy + at, size, dgate + at, dup + at);
  });
}

void add(float* x, const float* y, int64_t count) {
  in_chunks(count, chunk, [&](int64_t at, int64_t size) { kernels().add(x + at, y + at, size); });
}

float log_sum_exp(const float* logits, int64_t count, float inverse_temperature, float* entropy) {
  return kernels().log_sum_exp(logits, count, inverse_temperature, entropy);
}

void log_prob_gradient(float* logits, int64_t count, float inverse_temperature, float lse, float entropy,
                       int32_t target, float coefficient, float entropy_coefficient) {
  kernels().log_prob_gradient(logits, count, inverse_temperature, lse, entropy, target, coefficient,
                              entropy_coefficient);
}

float softmax_row(float* scores, int64_t count, int64_t count_padded, float scale) {
  return kernels().softmax_row(scores, count, count_padded, scale);
}

void exp_minus(float* scores, int64_t count, int64_t count_padded, float scale, float lse) {
  kernels().exp_minus(scores, count, count_padded, scale, lse);
}

double sum_of_squares(const float* x, int64_t count) {
  std::vector<double> sums(static_cast<size_t>((count + chunk - 1) / chunk));
  in_chunks(count, chunk, [&](int64_t at, int64_t size) {
    sums[static_cast<size_t>(at / chunk)] = kernels().sum_of_squares(x + at, size);
  });
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total;
}

void adamw(float* w, const float* g, float* m, float* v, int64_t count, float learning_rate, float beta1,
           float beta2, float epsilon, float weight_decay, float bias1, float bias2, float gradient_scale) {
  const AdamW step{learning_rate, beta1, beta2, epsilon, weight_decay, bias1, bias2, gradient_scale};
  in_chunks(count, chunk,
            [&](int64_t at, int64_t size) { kernels().adamw(w + at, g + at, m + at, v + at, size, step); });
}

void rope(float* x, int64_t rows, int64_t heads, int64_t head_dim, int64_t row_stride,
          const int32_t* positions, const float* cosine, const float* sine, bool inverse) {
  const int64_t half = head_dim / 2;
  const float sign = inverse ? -1.0f : 1.0f;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t angle = positions[row] * half;
    for (int64_t head = 0; head < heads; ++head) {
      kernels().rotate(x + row * row_stride + head * head_dim, half, cosine + angle, sine + angle, sign);
    }
  }
}

}  // namespace adjudge
