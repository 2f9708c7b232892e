// Matrix products of a training step, in GFLOP/s: ours in f32 and bfloat16, beside the processor's peak (a
// loop of independent multiply-adds in registers, measured in the same run) and OpenBLAS where it is
// installed.
//   bench_gemm THREADS TOKENS [OPENBLAS_LIBRARY [JSON_FILE]]
#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "native/core/error.h"
#include "native/core/thread_pool.h"
#include "native/cpu/gemm.h"
#include "figures.h"
#include "peak.h"

namespace {

using adjudge::Store;
using namespace adjudge::bench;

// Of several runs, each of at least 20 ms. The best is printed: what others do on the machine only ever makes
// it slower.
template <class Body>
std::vector<double> seconds_of_runs(const Body& body) {
  body();
  std::vector<double> seconds;
  for (int run = 0; run < 7; run++) {
    int repeats = 0;
    const double began = seconds_now();
    double ended = began;
    while (ended - began < 0.02) {
      body();
      repeats++;
      ended = seconds_now();
    }
    seconds.push_back((ended - began) / repeats);
  }
  return seconds;
}

double best_of(const std::vector<double>& seconds) {
  return *std::min_element(seconds.begin(), seconds.end());
}

// The share of a peak that each run reached.
Middle share_of(std::vector<double> seconds, double work, double peak) {
  for (double& one : seconds) one = work / one / peak;
  return middle_of(seconds);
}

struct Shape {
  const char* name;
  int64_t m, n, k;
  // Whether A is read down its columns, as in a weight's gradient.
  bool transposed;
};

std::vector<float> numbers(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) / static_cast<float>(1 << 24) - 0.5f;
  }
  return values;
}

// cblas_sgemm(order, transA, transB, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc), with 32-bit sizes.
using Sgemm = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int, float,
                       float*, int);

Sgemm load_openblas(const std::string& given, int threads) {
  void* library = nullptr;
  for (const std::string& name : {given, std::string("libopenblas.so.0"), std::string("libopenblas.so")}) {
    if (!library && !name.empty()) library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  }
  if (!library) return nullptr;
  if (auto set = reinterpret_cast<void (*)(int)>(dlsym(library, "openblas_set_num_threads"))) set(threads);
  if (auto config = reinterpret_cast<char* (*)()>(dlsym(library, "openblas_get_config"))) {
    std::printf("%s\n", config());
  }
  return reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm"));
}

template <class Word>
std::vector<double> ours(const Shape& shape, const std::vector<float>& a, const std::vector<float>& b,
                         std::vector<float>& c) {
  const auto [name, m, n, k, transposed] = shape;
  const size_t size =
      std::is_same_v<Word, float> ? adjudge::packed_floats(n, k) : adjudge::packed_words(n, k);
  std::vector<Word> packed(size);
  adjudge::pack(b.data(), k, 1, n, k, packed.data());
  return seconds_of_runs([&] {
    adjudge::gemm(m, n, k, a.data(), transposed ? 1 : k, transposed ? m : 1, packed.data(), c.data(), n,
                  Store::assign);
  });
}

int run(int threads, int64_t tokens, const std::string& library, const std::string& json) {
  adjudge::set_threads(threads);
  std::printf("instruction set %s, %d threads, bfloat16 %s\n", adjudge::instruction_set(), threads,
              adjudge::computes_bfloat16() ? "in hardware" : "by f32 arithmetic");
  const Sgemm sgemm = load_openblas(library, threads);
  if (!sgemm) std::printf("OpenBLAS: not found (apt-get install libopenblas0-pthread, or give its file)\n");
  std::printf("GFLOP/s, and their share of the peak that was measured beside them\n\n");
  std::printf("%-24s %6s %6s %6s %9s %14s %14s %10s\n", "SmolLM2-135M", "m", "n", "k", "peak f32", "f32",
              "bfloat16", "OpenBLAS");

  const Shape shapes[] = {
      {"q, k, v", tokens, 960, 576, false},
      {"o", tokens, 576, 576, false},
      {"gate, up", tokens, 3072, 576, false},
      {"down", tokens, 576, 1536, false},
      {"head", 256, 49152, 576, false},
      {"gradient of gate, up", 3072, 576, tokens, true},
      {"gradient of down", 576, 1536, tokens, true},
      {"decode: gate, up", 32, 3072, 576, false},
      {"decode: head", 32, 49152, 576, false},
      {"decode, one row: head", 1, 49152, 576, false},
  };
  std::vector<Figure> figures;
  for (const Shape& shape : shapes) {
    const auto [name, m, n, k, transposed] = shape;
    const std::vector<float> a = numbers(m * k), b = numbers(n * k);
    std::vector<float> c(static_cast<size_t>(m * n));
    const double work = 2e-9 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    const double peak = peak_flops_f32(threads) / 1e9;
    const double peak_bfloat16 = peak_flops_bfloat16(threads) / 1e9;
    const double peak_wide = peak_bfloat16 > 0 ? peak_bfloat16 : peak;
    const std::vector<double> f32_runs = ours<float>(shape, a, b, c);
    const std::vector<double> bfloat16_runs = ours<uint32_t>(shape, a, b, c);
    const double f32 = work / best_of(f32_runs), bfloat16 = work / best_of(bfloat16_runs);
    if (peak > 0) {
      figures.push_back({std::string(name) + ", f32", share_of(f32_runs, work, peak), peak});
      figures.push_back(
          {std::string(name) + ", bfloat16", share_of(bfloat16_runs, work, peak_wide), peak_wide});
    }
    std::printf("%-24s %6ld %6ld %6ld %9.0f", name, static_cast<long>(m), static_cast<long>(n),
                static_cast<long>(k), peak);
    std::printf(" %6.0f (%3.0f %%)", f32, 100 * f32 / peak);
    std::printf(" %6.0f (%3.0f %%)", bfloat16, 100 * bfloat16 / peak_wide);
    if (sgemm) {
      const int rows = static_cast<int>(m), columns = static_cast<int>(n), depth = static_cast<int>(k);
      const double seconds = best_of(seconds_of_runs([&] {
        sgemm(101, transposed ? 112 : 111, 112, rows, columns, depth, 1.0f, a.data(),
              transposed ? rows : depth, b.data(), depth, 0.0f, c.data(), columns);
      }));
      std::printf(" %10.0f", work / seconds);
    }
    std::printf("\n");
  }
  return json.empty() || write_figures(json, threads, "of peak", figures) ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3 || std::atoi(arguments[1]) < 1 || std::atoi(arguments[2]) < 1) {
    std::fprintf(stderr, "usage: bench_gemm THREADS TOKENS [OPENBLAS_LIBRARY [JSON_FILE]]\n");
    return 2;
  }
  try {
    return run(std::atoi(arguments[1]), std::atoi(arguments[2]), count > 3 ? arguments[3] : "",
               count > 4 ? arguments[4] : "");
  } catch (const adjudge::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
