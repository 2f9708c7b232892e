// The floor of a kernel: a plain loop with as many read and write streams, over as many bytes, on as many
// threads, that does no arithmetic but one addition per read. Its stores are ordinary or non-temporal.
#pragma once
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/cpu/gemm.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace adjudge::bench {

// Streams that advance together. All of them have `count` elements of four bytes and start at a multiple of
// 64 bytes.
struct Band {
  std::vector<const float*> reads;
  std::vector<float*> writes;
  int64_t count = 0;

  double bytes() const {
    return 4.0 * static_cast<double>(count) * static_cast<double>(reads.size() + writes.size());
  }
};

// What one kernel reads and writes. A stream shorter than the others, such as one number per group, is in a
// band of its own; each chunk of the loop does its share of every band.
using Bands = std::vector<Band>;

inline double bytes_of(const Bands& bands) {
  double bytes = 0;
  for (const Band& band : bands) bytes += band.bytes();
  return bytes;
}

enum class Stores { ordinary, non_temporal };

namespace floor_loops {

constexpr int64_t step = 16;  // elements to a cache line

// Sums that nobody writes must still be read: their last value is kept where the compiler cannot see through.
inline void keep(float value) { asm volatile("" : : "r,m"(value) : "memory"); }

template <int Reads, int Writes>
void plain(const Band& band, int64_t begin, int64_t end) {
  float total = 0;
  for (int64_t i = begin; i < end; i++) {
    float sum = band.reads[0][i];
    for (int r = 1; r < Reads; r++) sum += band.reads[r][i];
    for (int w = 0; w < Writes; w++) band.writes[w][i] = sum;
    if (Writes == 0) total += sum;
  }
  keep(total);
}

#if defined(__x86_64__)
template <int Reads, int Writes, bool NonTemporal>
__attribute__((target("avx512f"))) void wide(const Band& band, int64_t begin, int64_t end) {
  const float* reads[Reads];
  float* writes[Writes > 0 ? Writes : 1];
  for (int r = 0; r < Reads; r++) reads[r] = band.reads[r];
  for (int w = 0; w < Writes; w++) writes[w] = band.writes[w];
  __m512 totals[4] = {};
  const int64_t whole = begin + (end - begin) / (4 * step) * (4 * step);
  for (int64_t i = begin; i < whole; i += 4 * step) {
    for (int line = 0; line < 4; line++) {
      __m512 sum = _mm512_loadu_ps(reads[0] + i + line * step);
      for (int r = 1; r < Reads; r++) sum = _mm512_add_ps(sum, _mm512_loadu_ps(reads[r] + i + line * step));
      for (int w = 0; w < Writes; w++) {
        if (NonTemporal)
          _mm512_stream_ps(writes[w] + i + line * step, sum);
        else
          _mm512_storeu_ps(writes[w] + i + line * step, sum);
      }
      if (Writes == 0) totals[line] = _mm512_add_ps(totals[line], sum);
    }
  }
  if (NonTemporal) _mm_sfence();
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, _mm512_add_ps(_mm512_add_ps(totals[0], totals[1]),  //
                                       _mm512_add_ps(totals[2], totals[3])));
  keep(lanes[0]);
  plain<Reads, Writes>(band, whole, end);
}

template <int Reads, int Writes, bool NonTemporal>
__attribute__((target("avx2"))) void wide_avx2(const Band& band, int64_t begin, int64_t end) {
  const float* reads[Reads];
  float* writes[Writes > 0 ? Writes : 1];
  for (int r = 0; r < Reads; r++) reads[r] = band.reads[r];
  for (int w = 0; w < Writes; w++) writes[w] = band.writes[w];
  __m256 totals[2] = {};
  const int64_t whole = begin + (end - begin) / step * step;
  for (int64_t i = begin; i < whole; i += step) {
    for (int half = 0; half < 2; half++) {
      __m256 sum = _mm256_loadu_ps(reads[0] + i + half * 8);
      for (int r = 1; r < Reads; r++) sum = _mm256_add_ps(sum, _mm256_loadu_ps(reads[r] + i + half * 8));
      for (int w = 0; w < Writes; w++) {
        if (NonTemporal)
          _mm256_stream_ps(writes[w] + i + half * 8, sum);
        else
          _mm256_storeu_ps(writes[w] + i + half * 8, sum);
      }
      if (Writes == 0) totals[half] = _mm256_add_ps(totals[half], sum);
    }
  }
  if (NonTemporal) _mm_sfence();
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, _mm256_add_ps(totals[0], totals[1]));
  keep(lanes[0]);
  plain<Reads, Writes>(band, whole, end);
}
#endif

template <int Reads, int Writes>
void run(const Band& band, int64_t begin, int64_t end, Stores stores) {
#if defined(__x86_64__)
  const bool streamed = stores == Stores::non_temporal && Writes > 0;
  if (std::string_view(instruction_set()).starts_with("avx512"))
    return streamed ? wide<Reads, Writes, true>(band, begin, end)
                    : wide<Reads, Writes, false>(band, begin, end);
  if (__builtin_cpu_supports("avx2"))
    return streamed ? wide_avx2<Reads, Writes, true>(band, begin, end)
                    : wide_avx2<Reads, Writes, false>(band, begin, end);
#endif
  (void)stores;
  plain<Reads, Writes>(band, begin, end);
}

template <int Reads>
void run_reads(const Band& band, int64_t begin, int64_t end, Stores stores) {
  switch (band.writes.size()) {
    case 0:
      return run<Reads, 0>(band, begin, end, stores);
    case 1:
      return run<Reads, 1>(band, begin, end, stores);
    case 2:
      return run<Reads, 2>(band, begin, end, stores);
    default:
      throw std::logic_error("a floor has at most two write streams");
  }
}

inline void run_band(const Band& band, int64_t begin, int64_t end, Stores stores) {
  switch (band.reads.size()) {
    case 1:
      return run_reads<1>(band, begin, end, stores);
    case 2:
      return run_reads<2>(band, begin, end, stores);
    case 3:
      return run_reads<3>(band, begin, end, stores);
    case 4:
      return run_reads<4>(band, begin, end, stores);
    default:
      throw std::logic_error("a floor has one to four read streams");
  }
}

}  // namespace floor_loops

// One pass over all bands, on the engine's threads.
inline void run_floor(const Bands& bands, Stores stores) {
  int64_t longest = 0;
  for (const Band& band : bands) longest = std::max(longest, band.count);
  const int64_t chunks = std::max<int64_t>(1, longest >> 17);  // of 512 KiB a stream
  parallel_for(chunks, [&](int64_t chunk, int) {
    for (const Band& band : bands) {
      const auto place = [&](int64_t c) {
        return c == chunks ? band.count : band.count / floor_loops::step * c / chunks * floor_loops::step;
      };
      floor_loops::run_band(band, place(chunk), place(chunk + 1), stores);
    }
  });
}

}  // namespace adjudge::bench
