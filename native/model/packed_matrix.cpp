#include "packed_matrix.h"

namespace adjudge {

void PackedMatrix::pack(Dtype dtype, const float* b, int64_t column_stride, int64_t depth_stride, int64_t n,
                        int64_t k) {
  dtype_ = dtype;
  n_ = n;
  k_ = k;
  if (dtype == Dtype::bfloat16) {
    words_.resize(packed_words(n, k));
    adjudge::pack(b, column_stride, depth_stride, n, k, words_.data());
  } else {
    floats_.resize(packed_floats(n, k));
    adjudge::pack(b, column_stride, depth_stride, n, k, floats_.data());
  }
}

void PackedMatrix::multiply(int64_t m, const float* a, int64_t row_stride, int64_t depth_stride, float* c,
                            Store store) const {
  if (dtype_ == Dtype::bfloat16) {
    gemm(m, n_, k_, a, row_stride, depth_stride, words_.data(), c, n_, store);
  } else {
    gemm(m, n_, k_, a, row_stride, depth_stride, floats_.data(), c, n_, store);
  }
}

size_t PackedMatrix::bytes() const {
  return floats_.size() * sizeof(float) + words_.size() * sizeof(uint32_t);
}

}  // namespace adjudge
