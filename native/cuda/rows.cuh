// Packed rows of uneven length over warps and blocks: a block takes some consecutive rows, its warps one
// short row each, and then all its threads together the long ones. Which threads take which tokens depends on
// the sizes only.
#pragma once

#include "cuda/launch.h"
#include "cuda/reduce.cuh"

namespace adjudge::cuda {

// The threads that share a row: `rank` of `size`. All of them call `sum` and `reduce`; the result in every
// thread.
struct ThreadTeam {
  SIMT_DEVICE int rank() const { return 0; }
  SIMT_DEVICE int size() const { return 1; }
  template <typename T>
  SIMT_DEVICE T sum(T value) const {
    return value;
  }
  template <typename T, typename Combine>
  SIMT_DEVICE T reduce(T value, Combine) const {
    return value;
  }
};

struct WarpTeam {
  SIMT_DEVICE int rank() const { return simt::lane(); }
  SIMT_DEVICE int size() const { return simt::warp_size; }
  template <typename T>
  SIMT_DEVICE T sum(T value) const {
    return warp_sum(value);
  }
  template <typename T, typename Combine>
  SIMT_DEVICE T reduce(T value, Combine combine) const {
    return warp_reduce(value, combine);
  }
};

struct BlockTeam {
  SIMT_DEVICE int rank() const { return simt::thread(); }
  SIMT_DEVICE int size() const { return simt::threads(); }
  template <typename T>
  SIMT_DEVICE T sum(T value) const {
    return block_sum(value);
  }
  template <typename T, typename Combine>
  SIMT_DEVICE T reduce(T value, Combine combine) const {
    return block_reduce(value, combine);
  }
};

struct RowRange {
  const std::int32_t* cu_seqlens;
  std::int64_t rows;
  std::int64_t rows_per_block;
};

constexpr std::int64_t longest_row_of_a_warp = 1024;

// As many rows a block as it has warps, fewer where that would leave most multiprocessors without a block.
inline RowRange row_range(const std::int32_t* cu_seqlens, std::int64_t rows, int threads) {
  constexpr std::int64_t enough_blocks = 1024;
  const std::int64_t most = threads / simt::warp_size;
  return {cu_seqlens, rows, std::clamp<std::int64_t>(rows / enough_blocks, 1, most)};
}

inline std::int64_t blocks_of(const RowRange& range) { return blocks_of(range.rows, range.rows_per_block); }

// Calls body(team, row) for every row of the block. All threads of the block call it.
template <typename Body>
SIMT_DEVICE void for_rows_of_block(const RowRange& range, const Body& body) {
  const std::int64_t begin = simt::block() * range.rows_per_block;
  const std::int64_t end =
      begin + range.rows_per_block < range.rows ? begin + range.rows_per_block : range.rows;
  const auto is_long = [&](std::int64_t row) {
    return range.cu_seqlens[row + 1] - range.cu_seqlens[row] > longest_row_of_a_warp;
  };
  for (std::int64_t row = begin + simt::warp(); row < end; row += simt::warps()) {
    if (!is_long(row)) body(WarpTeam{}, row);
  }
  for (std::int64_t row = begin; row < end; ++row) {
    if (is_long(row)) body(BlockTeam{}, row);
  }
}

}  // namespace adjudge::cuda
