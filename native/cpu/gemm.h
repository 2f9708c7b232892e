// Single-precision matrix products on the CPU. A row of the result never depends on how many other rows there
// are, on the number of threads or on the tiling: that is what makes a batch's log-probabilities
// reproducible.
#pragma once
#include <cstddef>
#include <cstdint>

namespace adjudge {

// The B operand of C[m,n] = A[m,k]·B: column panels of width panel_width(), k rows contiguous per panel (row
// p of a panel holds its columns), zero padded to whole panels.
int64_t panel_width();  // 16 (portable, AVX2) or 32 (AVX-512)
size_t packed_floats(int64_t n, int64_t k);

// packed column j, depth p <- b[j * column_stride + p * depth_stride]. Parallel over panels.
void pack(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k, float* packed);
void pack_serial(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
                 float* packed);

enum class Store { assign, add };

// C[m,n] (row stride ldc) = or += A[m,k] (element i,p at a[i * row_stride + p * depth_stride]) · packed
// B[k,n]. Each output is one chain of multiply-adds over p ascending from 0; Store::add adds the finished
// chain to C. Parallel over tiles of C.
void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
          const float* packed, float* c, int64_t ldc, Store store);
// The same on the calling thread only, with the same bits; for use inside parallel_for.
void gemm_serial(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
                 const float* packed, float* c, int64_t ldc, Store store);

// "avx512", "avx2" or "portable": the widest the processor has; the environment variable ADJUDGE_ISA forces a
// narrower one (Error CONFIG_INVALID if the processor lacks it).
const char* instruction_set();

}  // namespace adjudge
