// The B operand of a product in the layout that the kernels read, in f32 or rounded to bfloat16.
#pragma once
#include <cstdint>
#include <vector>

#include "../core/page_allocator.h"
#include "../cpu/gemm.h"

namespace adjudge {

// What the factors of a matrix product are rounded to; sums are f32 always.
enum class Dtype { float32, bfloat16 };

class PackedMatrix {
 public:
  // Column j, depth p <- b[j * column_stride + p * depth_stride], for n columns of k depths.
  void pack(Dtype dtype, const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k);
  // x [depths, columns] row-major: the B of a product that adds up over rows, such as a weight's gradient.
  void pack_depths(Dtype dtype, const float* x, int64_t depths, int64_t columns) {
    pack(dtype, x, 1, columns, columns, depths);
  }
  // c[m, n] (row stride n) = or += a[m, k] (element i, p at a[i * row_stride + p * depth_stride]) · this.
  void multiply(int64_t m, const float* a, int64_t row_stride, int64_t depth_stride, float* c,
                Store store) const;
  size_t bytes() const;

 private:
  Dtype dtype_ = Dtype::float32;
  int64_t n_ = 0, k_ = 0;
  std::vector<float, PageAllocator<float>> floats_;
  std::vector<uint32_t, PageAllocator<uint32_t>> words_;
};

}  // namespace adjudge
