// Register tiles in plain C++: the code for processors without AVX2, and the twin the others are tested
// against.
#include <cstring>

#include "native/cpu/gemm_kernels.h"
#include "native/cpu/pack_scalar.h"

namespace adjudge {
namespace {

constexpr int width = 16;

template <int rows>
void tile_rows(int64_t depth, const float* a, const float* panel, float* c, int64_t ldc, bool resume,
               bool accumulate) {
  float sum[rows][width];
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < width; ++j) sum[i][j] = resume ? c[i * ldc + j] : 0.0f;
  }
  for (int64_t p = 0; p < depth; ++p) {
    for (int i = 0; i < rows; ++i) {
      const float factor = a[p * rows + i];
      for (int j = 0; j < width; ++j) sum[i][j] += factor * panel[p * width + j];
    }
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < width; ++j) c[i * ldc + j] = accumulate ? c[i * ldc + j] + sum[i][j] : sum[i][j];
  }
}

void tile(int64_t rows, int64_t depth, const float* a, const float* panel, float* c, int64_t ldc, bool resume,
          bool accumulate, Ahead) {
  switch (rows) {
    case 1:
      return tile_rows<1>(depth, a, panel, c, ldc, resume, accumulate);
    case 2:
      return tile_rows<2>(depth, a, panel, c, ldc, resume, accumulate);
    case 3:
      return tile_rows<3>(depth, a, panel, c, ldc, resume, accumulate);
    default:
      return tile_rows<4>(depth, a, panel, c, ldc, resume, accumulate);
  }
}

float even_of(uint32_t word) {
  const uint32_t bits = word << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float odd_of(uint32_t word) {
  const uint32_t bits = word & 0xffff0000u;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void bfloat16_tile(int64_t rows, int64_t depth, const uint32_t* a, const uint32_t* panel, float* c,
                   int64_t ldc, bool resume, bool accumulate, Ahead) {
  for (int64_t i = 0; i < rows; ++i) {
    float sum[width];
    for (int j = 0; j < width; ++j) sum[j] = resume ? c[i * ldc + j] : 0.0f;
    for (int64_t p = 0; p < depth; ++p) {
      const float even = even_of(a[p * rows + i]), odd = odd_of(a[p * rows + i]);
      for (int j = 0; j < width; ++j) sum[j] += even * even_of(panel[p * width + j]);
      for (int j = 0; j < width; ++j) sum[j] += odd * odd_of(panel[p * width + j]);
    }
    for (int j = 0; j < width; ++j) c[i * ldc + j] = accumulate ? c[i * ldc + j] + sum[j] : sum[j];
  }
}

}  // namespace

const GemmKernels gemm_portable = {width,
                                   4,
                                   {tile, scalar_pack_depth, scalar_pack_width},
                                   {bfloat16_tile, scalar_pack_depth, scalar_pack_width}};

}  // namespace adjudge
