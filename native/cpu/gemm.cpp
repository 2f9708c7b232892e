#include "native/cpu/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "native/core/cpu_features.h"
#include "native/core/thread_pool.h"
#include "native/cpu/gemm_kernels.h"
#include "native/cpu/pack_scalar.h"

namespace adjudge {
namespace {

// Blocking changes no bits: a chain that is cut continues from C (or from scratch) in full f32.
constexpr int64_t depth_block = 512;   // a register tile's rows, 24 KiB, stay in the first-level cache
constexpr int64_t row_block = 96;      // a block of A, 192 KiB, and a panel stay in the second-level cache
constexpr int64_t column_block = 512;  // upper bound; smaller when there are few tiles for the threads
constexpr int64_t max_width = 32;
constexpr int64_t tiles_per_thread = 6;
constexpr int64_t shared_rows = 1 << 22;  // most elements of A that are packed for all tiles at once
constexpr int64_t serial_rows = 1 << 15;

GemmKernels select() {
#if defined(__x86_64__)
  switch (selected_instruction_set()) {
    case InstructionSet::avx512bf16: {
      GemmKernels table = gemm_avx512;
      table.bfloat16.tile = bfloat16_tile_avx512bf16;
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
const ElementKernels<Element>& element_kernels();
template <>
const ElementKernels<float>& element_kernels<float>() {
  return kernels().float32;
}
template <>
const ElementKernels<uint32_t>& element_kernels<uint32_t>() {
  return kernels().bfloat16;
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
  // All of A as Tiling::pack_rows leaves it; null: every tile packs its own.
  const Element* packed_rows = nullptr;
};

template <class Element>
Element* scratch(std::vector<Element>& buffer, int64_t count) {
  if (static_cast<int64_t>(buffer.size()) < count) buffer.resize(count);
  return buffer.data();
}

constexpr int64_t slack = 16;  // elements that packing may write past its end

// out[p, i] = A[row + i, p], p in elements from `begin`: the order in which a register tile reads its rows.
template <class Element>
void pack_piece(const Problem<Element>& problem, int64_t row, int64_t rows, int64_t begin, int64_t elements,
                Element* out) {
  const int64_t first = begin * depths<Element>;
  const int64_t depth = std::min(elements * depths<Element>, problem.k - first);
  const float* a = problem.a + row * problem.row_stride + first * problem.depth_stride;
  if (problem.depth_stride == 1)
    element_kernels<Element>().pack_depth(a, problem.row_stride, rows, depth, out, rows);
  else
    element_kernels<Element>().pack_width(a, problem.depth_stride, rows, depth, out, rows);
}

// Splits [0, rows) into pieces of at most max_rows that differ by one row at most.
struct Split {
  int64_t rows, pieces;
  Split(int64_t count, int64_t max_rows) : rows(count), pieces(ceil_div(count, max_rows)) {}
  int64_t begin(int64_t piece) const { return rows * piece / pieces; }
};

// C[row_begin.., column_begin..): whole depth. packed_rows: A's rows, a piece at its first row times
// `elements`, or null.
template <class Element>
void block(const Problem<Element>& problem, const Element* packed_rows, int64_t row_begin, int64_t rows,
           int64_t column_begin, int64_t columns) {
  const GemmKernels& kernel = kernels();
  const int64_t width = kernel.panel_width;
  const Split split(rows, kernel.max_rows);
  // Few rows: the weights stream from memory once, so each panel is read from its start to its end.
  const int64_t whole = std::max<int64_t>(problem.elements, 1);
  const int64_t step = rows <= 2 * kernel.max_rows ? whole : depth_block;
  const bool through_sums = problem.store == Store::add && problem.elements > step;
  thread_local std::vector<Element> own_rows;
  thread_local std::vector<float> sums;
  Element* const own = packed_rows ? nullptr : scratch(own_rows, rows * std::min(step, whole) + slack);
  const int64_t sums_stride = ceil_div(columns, width) * width;
  float* const partial = through_sums ? scratch(sums, rows * sums_stride) : nullptr;
  float edge[16 * max_width];
  const Tile<Element> multiply = element_kernels<Element>().tile;

  int64_t depth_begin = 0;
  do {
    const int64_t depth = std::min(step, problem.elements - depth_begin);
    const bool resume = depth_begin > 0 || problem.store == Store::resume;
    const bool last = depth_begin + depth >= problem.elements;
    for (int64_t piece = 0; own && piece < split.pieces; ++piece) {
      const int64_t first = split.begin(piece);
      pack_piece(problem, row_begin + first, split.begin(piece + 1) - first, depth_begin, depth,
                 own + first * depth);
    }
    for (int64_t column = 0; column < columns; column += width) {
      const Element* panel =
          problem.packed + (column_begin + column) * problem.elements + depth_begin * width;
      const int64_t valid = std::min(width, columns - column);
      // The pieces fetch the next panel between them, a share each, so that memory is asked evenly.
      const bool another = column + width < columns;
      const auto* next = reinterpret_cast<const char*>(another ? panel + width * problem.elements : panel);
      const int64_t line_step = another ? width * sizeof(Element) / split.pieces : 0;
      for (int64_t piece = 0; piece < split.pieces; ++piece) {
        const Ahead ahead{next + piece * depth * line_step, line_step};
        const int64_t first = split.begin(piece);
        const int64_t count = split.begin(piece + 1) - first;
        const Element* a = own ? own + first * depth
                               : packed_rows + (row_begin + first) * problem.elements + depth_begin * count;
        float* c = problem.c + (row_begin + first) * problem.ldc + column_begin + column;
        if (through_sums) {
          float* sum = partial + first * sums_stride + column;
          multiply(count, depth, a, panel, sum, sums_stride, resume, false, ahead);
          if (!last) continue;
          for (int64_t i = 0; i < count; ++i) {
            for (int64_t j = 0; j < valid; ++j) c[i * problem.ldc + j] += sum[i * sums_stride + j];
          }
          continue;
        }
        const bool accumulate = problem.store == Store::add;
        if (valid == width) {
          multiply(count, depth, a, panel, c, problem.ldc, resume, accumulate, ahead);
          continue;
        }
        if (resume || accumulate) {
          for (int64_t i = 0; i < count; ++i) {
            std::memcpy(edge + i * width, c + i * problem.ldc, valid * sizeof(float));
            std::fill(edge + i * width + valid, edge + (i + 1) * width, 0.0f);
          }
        }
        multiply(count, depth, a, panel, edge, width, resume, accumulate, ahead);
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
    // Column tiles of about one size: the last one to finish keeps the others waiting least.
    const int64_t tiles = std::max(ceil_div(n, column_block), std::min(wanted, ceil_div(n, width)));
    columns = ceil_div(ceil_div(n, tiles), width) * width;
    items = row_tiles * ceil_div(n, columns);
  }
  int64_t row(int64_t row_tile) const { return units * row_tile / row_tiles * unit_rows; }

  // Packs the rows of a tile into their place in `out`, which has `slack` more elements for each tile.
  template <class Element>
  void pack_rows(const Problem<Element>& problem, int64_t row_tile, Element* out) const {
    const int64_t begin = row(row_tile), rows = std::min(problem.m, row(row_tile + 1)) - begin;
    const Split split(rows, unit_rows);
    for (int64_t piece = 0; piece < split.pieces; ++piece) {
      const int64_t first = begin + split.begin(piece);
      pack_piece(problem, first, split.begin(piece + 1) - split.begin(piece), 0, problem.elements,
                 out + row_tile * slack + first * problem.elements);
    }
  }

  template <class Element>
  void run(const Problem<Element>& problem, int64_t item) const {
    const int64_t row_tile = item % row_tiles;
    const int64_t column = item / row_tiles * columns;
    const int64_t begin = row(row_tile), end = std::min(problem.m, row(row_tile + 1));
    block(problem, problem.packed_rows ? problem.packed_rows + row_tile * slack : nullptr, begin, end - begin,
          column, std::min(columns, problem.n - column));
  }
};

template <class Element>
void pack_panel(const float* b, int64_t column_stride, int64_t depth_stride, int64_t n, int64_t k,
                int64_t panel, Element* packed) {
  const int64_t width = kernels().panel_width, elements = ceil_div(k, depths<Element>);
  const int64_t first = panel * width, valid = std::min(width, n - first);
  const float* source = b + first * column_stride;
  Element* target = packed + first * elements;
  if (valid < width) std::fill(target, target + width * elements, Element{});
  for (int64_t column = 0; column < valid; column += 16) {
    const int64_t count = std::min<int64_t>(16, valid - column);
    const float* from = source + column * column_stride;
    if (depth_stride == 1)
      element_kernels<Element>().pack_depth(from, column_stride, count, k, target + column, width);
    else if (count == 16)
      element_kernels<Element>().pack_width(from, depth_stride, count, k, target + column, width);
    else  // the vector form would not leave the padding 0
      scalar_pack_width(from, depth_stride, count, k, target + column, width);
  }
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
  Problem<Element> problem{m, n,   k,    ceil_div(k, depths<Element>), a, row_stride, depth_stride, packed,
                           c, ldc, store};
  const Tiling tiling(m, n, threads());
  // Many tiles read the same rows, so these are packed once, while they are few enough to stay in the cache.
  thread_local std::vector<Element> rows;
  const bool shared = tiling.items > tiling.row_tiles && m * problem.elements <= shared_rows;
  if (shared) {
    Element* const packed_rows = scratch(rows, m * problem.elements + tiling.row_tiles * slack);
    problem.packed_rows = packed_rows;
    // One after the other where that takes less than waking a thread.
    if (m * problem.elements <= serial_rows) {
      for (int64_t tile = 0; tile < tiling.row_tiles; ++tile) tiling.pack_rows(problem, tile, packed_rows);
    } else {
      parallel_for(tiling.row_tiles,
                   [&](int64_t tile, int) { tiling.pack_rows(problem, tile, packed_rows); });
    }
  }
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
