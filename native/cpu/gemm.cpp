#include "native/cpu/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/gemm_kernels.h"

namespace adjudge {
namespace {

// Blocking changes no bits: a chain that is cut continues from C (or from scratch) in full f32.
constexpr int64_t depth_block = 256;   // one panel's block stays in the first-level cache
constexpr int64_t row_block = 96;      // an A block of 96 KiB stays in the second-level cache
constexpr int64_t column_block = 512;  // upper bound; smaller when there are few tiles for the threads
constexpr int64_t max_width = 32;
constexpr int64_t tiles_per_thread = 6;

GemmKernels select() {
#if defined(__x86_64__)
  switch (selected_instruction_set()) {
    case InstructionSet::avx512bf16: {
      GemmKernels table = gemm_avx512;
      table.bfloat16_tile = bfloat16_tile_avx512bf16;
      return table;
    }
    case InstructionSet::avx512:
      return gemm_avx512;
    case InstructionSet::avx2:
      return gemm_avx2;
    case InstructionSet::portable:
      break;
  }
#endif
  return gemm_portable;
}

const GemmKernels& kernels() {
  static const GemmKernels selected = select();
  return selected;
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Depths that one element of a packed operand holds.
template <class Element>
constexpr int64_t depths = 1;
template <>
constexpr int64_t depths<uint32_t> = 2;

template <class Element>
Tile<Element> tile();
template <>
Tile<float> tile<float>() {
  return kernels().tile;
}
template <>
Tile<uint32_t> tile<uint32_t>() {
  return kernels().bfloat16_tile;
}

template <class Element>
struct Problem {
  int64_t m, n;
  int64_t k;         // depths
  int64_t elements;  // ceil(k / depths)
  const float* a;
  int64_t row_stride, depth_stride;
  const Element* packed;
  float* c;
  int64_t ldc;
  Store store;
};

template <class Element>
Element* scratch(std::vector<Element>& buffer, int64_t count) {
  if (static_cast<int64_t>(buffer.size()) < count) buffer.resize(count);
  return buffer.data();
}

// out[p, i] = A[i, p], p in elements: the order in which a register tile reads its rows.
void pack_rows(const Problem<float>& problem, int64_t row, int64_t rows, int64_t depth_begin, int64_t depth,
               float* out) {
  const float* a = problem.a + row * problem.row_stride + depth_begin * problem.depth_stride;
  if (problem.depth_stride == 1) {
    kernels().transpose(a, problem.row_stride, rows, depth, out, rows);
    return;
  }
  for (int64_t p = 0; p < depth; ++p) {
    const float* source = a + p * problem.depth_stride;
    for (int64_t i = 0; i < rows; ++i) out[p * rows + i] = source[i * problem.row_stride];
  }
}

// Words are moved as floats are: by their bits.
void transpose_words(const uint32_t* source, int64_t source_stride, int64_t rows, int64_t columns,
                     uint32_t* target, int64_t target_stride) {
  kernels().transpose(reinterpret_cast<const float*>(source), source_stride, rows, columns,
                      reinterpret_cast<float*>(target), target_stride);
}

// target[p * target_stride + i] = the pair (source[i, 2p], source[i, 2p + 1]) of `count` lines i.
void pair_lines(const float* source, int64_t line_stride, int64_t depth_stride, int64_t count, int64_t depth,
                uint32_t* target, int64_t target_stride) {
  const int64_t words = ceil_div(depth, 2);
  if (depth_stride == 1) {
    thread_local std::vector<uint32_t> lines;
    uint32_t* const paired = scratch(lines, count * words);
    for (int64_t i = 0; i < count; ++i)
      kernels().pair_depth(source + i * line_stride, depth, paired + i * words);
    transpose_words(paired, words, count, words, target, target_stride);
    return;
  }
  thread_local std::vector<float> gathered;
  for (int64_t p = 0; p < words; ++p) {
    const float* even = source + 2 * p * depth_stride;
    const float* odd = 2 * p + 1 < depth ? even + depth_stride : nullptr;
    if (line_stride != 1) {
      float* const rows = scratch(gathered, 2 * count);
      for (int64_t i = 0; i < count; ++i) rows[i] = even[i * line_stride];
      for (int64_t i = 0; odd && i < count; ++i) rows[count + i] = odd[i * line_stride];
      even = rows;
      if (odd) odd = rows + count;
    }
    kernels().pair_rows(even, odd, count, target + p * target_stride);
  }
}

void pack_rows(const Problem<uint32_t>& problem, int64_t row, int64_t rows, int64_t begin, int64_t words,
               uint32_t* out) {
  const int64_t depth = std::min(2 * words, problem.k - 2 * begin);
  pair_lines(problem.a + row * problem.row_stride + 2 * begin * problem.depth_stride, problem.row_stride,
             problem.depth_stride, rows, depth, out, rows);
}

// Splits [0, rows) into pieces of at most max_rows that differ by one row at most.
struct Split {
  int64_t rows, pieces;
  Split(int64_t count, int64_t max_rows) : rows(count), pieces(ceil_div(count, max_rows)) {}
  int64_t begin(int64_t piece) const { return rows * piece / pieces; }
};

// C[row_begin.., column_begin..): whole depth.
template <class Element>
void block(const Problem<Element>& problem, int64_t row_begin, int64_t rows, int64_t column_begin,
           int64_t columns) {
  const GemmKernels& kernel = kernels();
  const int64_t width = kernel.panel_width;
  const Split split(rows, kernel.max_rows);
  // Few rows: the weights stream from memory once, so each panel is read from its start to its end.
  const int64_t whole = std::max<int64_t>(problem.elements, 1);
  const int64_t step = rows <= 2 * kernel.max_rows ? whole : depth_block;
  const bool through_sums = problem.store == Store::add && problem.elements > step;
  thread_local std::vector<Element> packed_rows;
  thread_local std::vector<float> sums;
  Element* const a = scratch(packed_rows, rows * std::min(step, whole));
  const int64_t sums_stride = ceil_div(columns, width) * width;
  float* const partial = through_sums ? scratch(sums, rows * sums_stride) : nullptr;
  float edge[16 * max_width];
  const Tile<Element> multiply = tile<Element>();

  int64_t depth_begin = 0;
  do {
    const int64_t depth = std::min(step, problem.elements - depth_begin);
    const bool resume = depth_begin > 0;
    const bool last = depth_begin + depth >= problem.elements;
    for (int64_t piece = 0; piece < split.pieces; ++piece) {
      const int64_t first = split.begin(piece);
      pack_rows(problem, row_begin + first, split.begin(piece + 1) - first, depth_begin, depth,
                a + first * depth);
    }
    for (int64_t column = 0; column < columns; column += width) {
      const Element* panel =
          problem.packed + (column_begin + column) * problem.elements + depth_begin * width;
      const int64_t valid = std::min(width, columns - column);
      for (int64_t piece = 0; piece < split.pieces; ++piece) {
        const int64_t first = split.begin(piece);
        const int64_t count = split.begin(piece + 1) - first;
        float* c = problem.c + (row_begin + first) * problem.ldc + column_begin + column;
        if (through_sums) {
          float* sum = partial + first * sums_stride + column;
          multiply(count, depth, a + first * depth, panel, sum, sums_stride, resume, false);
          if (!last) continue;
          for (int64_t i = 0; i < count; ++i) {
            for (int64_t j = 0; j < valid; ++j) c[i * problem.ldc + j] += sum[i * sums_stride + j];
          }
          continue;
        }
        const bool accumulate = problem.store == Store::add;
        if (valid == width) {
          multiply(count, depth, a + first * depth, panel, c, problem.ldc, resume, accumulate);
          continue;
        }
        if (resume || accumulate) {
          for (int64_t i = 0; i < count; ++i) {
            std::memcpy(edge + i * width, c + i * problem.ldc, valid * sizeof(float));
            std::fill(edge + i * width + valid, edge + (i + 1) * width, 0.0f);
          }
        }
        multiply(count, depth, a + first * depth, panel, edge, width, resume, accumulate);
        for (int64_t i = 0; i < count; ++i)
          std::memcpy(c + i * problem.ldc, edge + i * width, valid * sizeof(float));
      }
    }
    depth_begin += depth;
  } while (depth_begin < problem.elements);
}

// Tiles of C: rows first, so that neighbours in the order share their part of B. Row tiles end at multiples
// of the register tile's rows; only the last holds a remainder.
struct Tiling {
  int64_t units, unit_rows, row_tiles, columns, items;
  Tiling(int64_t m, int64_t n, int64_t workers) {
    const int64_t width = kernels().panel_width;
    unit_rows = kernels().max_rows;
    units = ceil_div(m, unit_rows);
    row_tiles = ceil_div(units, row_block / unit_rows);
    const int64_t wanted = ceil_div(workers * tiles_per_thread, row_tiles);
    columns = std::clamp(ceil_div(ceil_div(n, wanted), width) * width, 2 * width, column_block);
    items = row_tiles * ceil_div(n, columns);
  }
  template <class Element>
  void run(const Problem<Element>& problem, int64_t item) const {
    const int64_t row_tile = item % row_tiles;
    const int64_t column = item / row_tiles * columns;
    const int64_t row = units * row_tile / row_tiles * unit_rows;
    const int64_t row_end = std::min(problem.m, units * (row_tile + 1) / row_tiles * unit_rows);
    block(problem, row, row_end - row, column, std::min(columns, problem.n - column));
  }
};

void pack_panel(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
                int64_t panel, float* packed) {
  const int64_t width = kernels().panel_width;
  const int64_t first = panel * width;
  const int64_t valid = std::min(width, n - first);
  const float* source = b + first * column_stride;
  float* target = packed + first * k;
  if (valid < width) std::fill(target, target + width * k, 0.0f);
  if (column_stride == 1) {
    for (int64_t p = 0; p < k; ++p)
      std::memcpy(target + p * width, source + p * depth_stride, valid * sizeof(float));
    return;
  }
  if (depth_stride == 1) {
    kernels().transpose(source, column_stride, valid, k, target, width);
    return;
  }
  for (int64_t p = 0; p < k; ++p) {
    for (int64_t j = 0; j < valid; ++j) target[p * width + j] = source[j * column_stride + p * depth_stride];
  }
}

void pack_panel(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
                int64_t panel, uint32_t* packed) {
  const int64_t width = kernels().panel_width, words = ceil_div(k, 2);
  const int64_t first = panel * width;
  const int64_t valid = std::min(width, n - first);
  uint32_t* target = packed + first * words;
  if (valid < width) std::fill(target, target + width * words, 0u);
  pair_lines(b + first * column_stride, column_stride, depth_stride, valid, k, target, width);
}

template <class Element>
void pack_panels(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
                 Element* packed) {
  parallel_for(ceil_div(n, panel_width()),
               [&](int64_t panel, int) { pack_panel(b, column_stride, depth_stride, n, k, panel, packed); });
}

template <class Element>
void multiply(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
              const Element* packed, float* c, int64_t ldc, Store store) {
  if (m <= 0 || n <= 0) return;
  const Problem<Element> problem{
      m, n, k, ceil_div(k, depths<Element>), a, row_stride, depth_stride, packed, c, ldc, store};
  const Tiling tiling(m, n, threads());
  parallel_for(tiling.items, [&](int64_t item, int) { tiling.run(problem, item); });
}

}  // namespace

int64_t panel_width() { return kernels().panel_width; }

const char* instruction_set() { return name_of(selected_instruction_set()); }

bool computes_bfloat16() { return selected_instruction_set() == InstructionSet::avx512bf16; }

size_t packed_floats(int64_t n, int64_t k) {
  return static_cast<size_t>(ceil_div(n, panel_width()) * panel_width() * k);
}

size_t packed_words(int64_t n, int64_t k) { return packed_floats(n, ceil_div(k, 2)); }

void pack(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k, float* packed) {
  pack_panels(b, column_stride, depth_stride, n, k, packed);
}

void pack(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
          uint32_t* packed) {
  pack_panels(b, column_stride, depth_stride, n, k, packed);
}

void pack_serial(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
                 float* packed) {
  const int64_t panels = ceil_div(n, panel_width());
  for (int64_t panel = 0; panel < panels; ++panel)
    pack_panel(b, column_stride, depth_stride, n, k, panel, packed);
}

void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
          const float* packed, float* c, int64_t ldc, Store store) {
  multiply(m, n, k, a, row_stride, depth_stride, packed, c, ldc, store);
}

void gemm(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
          const uint32_t* packed, float* c, int64_t ldc, Store store) {
  multiply(m, n, k, a, row_stride, depth_stride, packed, c, ldc, store);
}

void gemm_serial(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_stride, int64_t depth_stride,
                 const float* packed, float* c, int64_t ldc, Store store) {
  if (m <= 0 || n <= 0) return;
  const Problem<float> problem{m, n, k, k, a, row_stride, depth_stride, packed, c, ldc, store};
  const Tiling tiling(m, n, 1);
  for (int64_t item = 0; item < tiling.items; ++item) tiling.run(problem, item);
}

}  // namespace adjudge
