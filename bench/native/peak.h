// What the processor can do at most: independent multiply-adds in registers, on all threads at once.
#pragma once
#include <chrono>
#include <string_view>

#include "native/core/thread_pool.h"
#include "native/cpu/gemm.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

#if defined(__x86_64__)
constexpr long peak_rounds = 1'000'000;

// Sums are told to the compiler as needed, so that the loop stays.
template <class Register>
void keep(Register& value) {
  asm volatile("" : "+x"(value));
}
template <class Register>
void keep_wide(Register& value) {
  asm volatile("" : "+v"(value));
}

// 12 chains: more than latency times ports of any x86 processor with these instructions.
__attribute__((target("avx2,fma"))) void multiply_add_avx2() {
  __m256 sums[12], x = _mm256_set1_ps(1e-9f), y = _mm256_set1_ps(1e-9f);
  for (__m256& sum : sums) sum = _mm256_setzero_ps();
  for (long round = 0; round < peak_rounds; round++) {
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(x, y, sum);
    keep(x);
  }
  for (__m256& sum : sums) keep(sum);
}

__attribute__((target("avx512f"))) void multiply_add_avx512() {
  __m512 sums[12], x = _mm512_set1_ps(1e-9f), y = _mm512_set1_ps(1e-9f);
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (long round = 0; round < peak_rounds; round++) {
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(x, y, sum);
    keep_wide(x);
  }
  for (__m512& sum : sums) keep_wide(sum);
}

__attribute__((target("avx512f,avx512bf16"))) void multiply_add_bfloat16() {
  __m512 sums[12];
  __m512i bits = _mm512_set1_epi16(0x2f80);
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (long round = 0; round < peak_rounds; round++) {
    const __m512bh x = reinterpret_cast<__m512bh>(bits);
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, x, x);
    keep_wide(bits);
  }
  for (__m512& sum : sums) keep_wide(sum);
}
#endif

// Operations a second of a body that does `operations` of them, on every thread; the best of five runs.
inline double peak_of(int threads, double operations, void (*body)()) {
  double best = 0;
  for (int run = 0; run < 5; run++) {
    const auto began = std::chrono::steady_clock::now();
    adjudge::parallel_for(threads, [&](int64_t, int) { body(); });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    best = std::max(best, operations * threads / took.count());
  }
  return best;
}

}  // namespace

// In the widest f32 instructions among those that ADJUDGE_ISA leaves; 0 on other architectures.
inline double peak_flops_f32(int threads) {
#if defined(__x86_64__)
  const std::string_view isa = adjudge::instruction_set();
  if (isa.starts_with("avx512")) return peak_of(threads, 12.0 * 16 * 2 * peak_rounds, multiply_add_avx512);
  if (__builtin_cpu_supports("avx2")) return peak_of(threads, 12.0 * 8 * 2 * peak_rounds, multiply_add_avx2);
#endif
  return 0;
}

// 0 where the processor has no such instructions.
inline double peak_flops_bfloat16(int threads) {
#if defined(__x86_64__)
  if (adjudge::computes_bfloat16())
    return peak_of(threads, 12.0 * 32 * 2 * peak_rounds, multiply_add_bfloat16);
#endif
  return 0;
}
