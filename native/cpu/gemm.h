// Matrix products on the CPU, in f32, or with both factors rounded to bfloat16 and sums in f32. A row of the
// result never depends on how many other rows there are, on the number of threads or on the tiling: that is
// what makes a batch's log-probabilities reproducible.
#pragma once
#include <cstddef>
#include <cstdint>

namespace adjudge {

// The B operand of C[m,n] = A[m,k]·B: column panels of width panel_width(), k rows contiguous per panel (row
// p of a panel holds its columns), zero padded to whole panels.
int64_t panel_width();  // 16 (portable, AVX2) or 32 (AVX-512)
size_t packed_floats(int64_t n, int64_t k);
// The same in bfloat16, two depths to a word (even depth in the low half; an odd k padded with 0).
size_t packed_words(int64_t n, int64_t k);

// packed column j, depth p <- b[j * column_stride + p * depth_stride], one of the strides being 1. Parallel
// over panels.
void pack(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k, float* packed);
void pack(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
          uint32_t* packed);
void pack_serial(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
                 float* packed);

enum class Store { assign, add, resume };

// C[m,n] (row stride ldc) = or += A[m,k] (element i,p at a[i * row_stride + p * depth_stride], one of the
// strides being 1) · packed B[k,n]. Each output is one chain of multiply-adds over p ascending from 0;
// Store::add adds the finished chain to C, Store::resume starts it at C, as if C's depths came before these.
// Parallel over tiles of C.
void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
          const float* packed, float* c, int64_t ldc, Store store);
// The same in bfloat16: A is rounded on the way, to nearest even.
void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
          const uint32_t* packed, float* c, int64_t ldc, Store store);
// In f32 on the calling thread only, with the same bits; for use inside parallel_for.
void gemm_serial(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
                 const float* packed, float* c, int64_t ldc, Store store);

// "avx512bf16", "avx512", "avx2" or "portable": the widest the processor has; the environment variable
// ADJUDGE_ISA forces a narrower one (Error CONFIG_INVALID if the processor lacks it).
const char* instruction_set();
// Whether bfloat16 products run in instructions of their own (else they are made of f32 ones, and save memory
// only).
bool computes_bfloat16();

}  // namespace adjudge
