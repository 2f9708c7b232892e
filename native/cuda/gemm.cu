// Tiles of 128 x 128 x 8, 256 threads with 8 x 8 sums each; the next tiles are read from memory while the
// products of the present ones are taken. 2 m n k flops; reads (m n k) (1/128 + 1/128) elements. Few tiles of
// great depth are split along it, and the parts summed in order.
#include "cuda/gemm.cuh"

#include "cuda/elements.cuh"

namespace adjudge::cuda {
namespace {

constexpr int tile = 128;
constexpr int tile_depth = 8;
constexpr int product_threads = 256;
constexpr int loads = tile * tile_depth / product_threads;  // of a thread, per operand and step
constexpr int padded = tile + 4;
constexpr std::int64_t enough_tiles = 256;
constexpr std::int64_t least_split_depth = 512;

struct alignas(16) Tile {
  float at[tile_depth][padded];
};

// The tile's elements that a thread brings, numbered so that neighbouring threads read neighbouring memory.
struct Place {
  int i;
  int k;
};

template <bool depth_is_row>
SIMT_DEVICE Place place_of(int load) {
  const int number = load * product_threads + simt::thread();
  if (depth_is_row) return {number % tile, number / tile};
  return {number / tile_depth, number % tile_depth};
}

// Elements past the edges are 0.
template <typename T, bool depth_is_row>
SIMT_DEVICE void load_tile(const Operand& operand, const LiveRows& live, std::int64_t first_i,
                           std::int64_t end_i, std::int64_t first_k, std::int64_t end_k,
                           float (&values)[loads]) {
  const T* const data = static_cast<const T*>(operand.data);
  for (int load = 0; load < loads; ++load) {
    const Place place = place_of<depth_is_row>(load);
    const std::int64_t i = first_i + place.i, k = first_k + place.k;
    values[load] = 0;
    if (i >= end_i || k >= end_k) continue;
    const std::int64_t row = depth_is_row ? k : i, column = depth_is_row ? i : k;
    values[load] = widened(data[(operand.live ? live.row(row) : row) * operand.stride + column]);
  }
}

template <bool depth_is_row>
SIMT_DEVICE void store_tile(const float (&values)[loads], Tile& into) {
  for (int load = 0; load < loads; ++load) {
    const Place place = place_of<depth_is_row>(load);
    into.at[place.k][place.i] = values[load];
  }
}

struct Depths {
  std::int64_t begin;
  std::int64_t end;
};

SIMT_DEVICE Depths depths_of(std::int64_t depth, std::int64_t splits, std::int64_t split) {
  const std::int64_t steps = (depth + tile_depth - 1) / tile_depth;
  const std::int64_t each = (steps + splits - 1) / splits * tile_depth;
  const std::int64_t begin = split * each, end = begin + each;
  return {begin < depth ? begin : depth, end < depth ? end : depth};
}

// Rows and columns of a thread's sums: two groups of 4, half a tile apart.
SIMT_DEVICE int of_group(int thread_place, int number) {
  return number / 4 * (tile / 2) + thread_place * 4 + number % 4;
}

template <typename A, typename B, bool a_depth_is_row, bool b_depth_is_row>
SIMT_KERNEL SIMT_BOUNDS(product_threads, 2)
    product_kernel(Product product, std::int64_t splits, float* partials) {
  SIMT_SHARED Tile a_tile;
  SIMT_SHARED Tile b_tile;
  const std::int64_t live = product.live.number();
  const std::int64_t m = product.live_m ? live : product.m, depth = product.live_k ? live : product.k;
  const std::int64_t tiles_m = (product.m + tile - 1) / tile, tiles_n = (product.n + tile - 1) / tile;
  // Blocks that share a tile of B are neighbours.
  const std::int64_t first_i = simt::block() % tiles_m * tile;
  const std::int64_t first_j = simt::block() / tiles_m % tiles_n * tile;
  const std::int64_t split = simt::block() / (tiles_m * tiles_n);
  if (first_i >= m || (depth == 0 && product.accumulate)) return;
  const Depths range = depths_of(depth, splits, split);
  const int column = simt::thread() % 16, row = simt::thread() / 16;
  float sums[8][8] = {};
  float a_next[loads], b_next[loads];
  const auto load = [&](std::int64_t k) {
    load_tile<A, a_depth_is_row>(product.a, product.live, first_i, m, k, range.end, a_next);
    load_tile<B, b_depth_is_row>(product.b, product.live, first_j, product.n, k, range.end, b_next);
  };
  load(range.begin);
  for (std::int64_t k = range.begin; k < range.end; k += tile_depth) {
    store_tile<a_depth_is_row>(a_next, a_tile);
    store_tile<b_depth_is_row>(b_next, b_tile);
    simt::block_barrier();
    if (k + tile_depth < range.end) load(k + tile_depth);
    for (int step = 0; step < tile_depth; ++step) {
      simt::Float4 a[2], b[2];
      for (int half = 0; half < 2; ++half) {
        a[half] = *reinterpret_cast<const simt::Float4*>(&a_tile.at[step][of_group(row, half * 4)]);
        b[half] = *reinterpret_cast<const simt::Float4*>(&b_tile.at[step][of_group(column, half * 4)]);
      }
      for (int i = 0; i < 8; ++i) {
        for (int j = 0; j < 8; ++j) sums[i][j] += a[i / 4].at[i % 4] * b[j / 4].at[j % 4];
      }
    }
    simt::block_barrier();
  }
  for (int i = 0; i < 8; ++i) {
    const std::int64_t at_i = first_i + of_group(row, i);
    if (at_i >= m) continue;
    float* const to =
        splits > 1 ? partials + (split * product.m + at_i) * product.n
                   : product.c + (product.scattered ? product.live.row(at_i) : at_i) * product.c_stride;
    for (int j = 0; j < 8; ++j) {
      const std::int64_t at_j = first_j + of_group(column, j);
      if (at_j >= product.n) continue;
      to[at_j] = splits == 1 && product.accumulate ? to[at_j] + sums[i][j] : sums[i][j];
    }
  }
}

// A block per row of C.
SIMT_KERNEL partials_kernel(Product product, std::int64_t splits, const float* partials) {
  const std::int64_t i = simt::block();
  if (i >= (product.live_m ? product.live.number() : product.m)) return;
  float* const to = product.c + (product.scattered ? product.live.row(i) : i) * product.c_stride;
  for (std::int64_t j = simt::thread(); j < product.n; j += simt::threads()) {
    float sum = product.accumulate ? to[j] : 0.0f;
    for (std::int64_t split = 0; split < splits; ++split)
      sum += partials[(split * product.m + i) * product.n + j];
    to[j] = sum;
  }
}

std::int64_t tiles_of(const Product& product) {
  return blocks_of(product.m, tile) * blocks_of(product.n, tile);
}

// Depths that live rows bound are short: they are not split.
std::int64_t splits_of(const Product& product) {
  if (product.live_k) return 1;
  return std::clamp<std::int64_t>(enough_tiles / std::max<std::int64_t>(tiles_of(product), 1), 1,
                                  std::max<std::int64_t>(product.k / least_split_depth, 1));
}

template <typename A, typename B>
void enqueue_elements(Enqueue& enqueue, const Product& product, float* partials) {
  const std::int64_t splits = splits_of(product);
  const simt::Grid grid{tiles_of(product) * splits, product_threads, 0};
  const bool a = product.a.depth_is_row, b = product.b.depth_is_row;
  const auto kernel = a ? (b ? product_kernel<A, B, true, true> : product_kernel<A, B, true, false>)
                        : (b ? product_kernel<A, B, false, true> : product_kernel<A, B, false, false>);
  enqueue.with("product_kernel", kernel, grid, product, splits, partials);
  if (splits > 1)
    enqueue.with(ADJUDGE_NAMED(partials_kernel), {product.m, product_threads, 0}, product, splits, partials);
}

}  // namespace

std::int64_t product_partials(const Product& product) {
  const std::int64_t splits = splits_of(product);
  return splits > 1 ? splits * product.m * product.n : 0;
}

void enqueue_product(Enqueue& enqueue, const Product& product, float* partials) {
  const bool a = product.a.element == Element::float32, b = product.b.element == Element::float32;
  if (a && b) return enqueue_elements<float, float>(enqueue, product, partials);
  if (a) return enqueue_elements<float, Bfloat16>(enqueue, product, partials);
  enqueue_elements<Bfloat16, Bfloat16>(enqueue, product, partials);
}

}  // namespace adjudge::cuda
