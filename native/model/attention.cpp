#include "attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../core/thread_pool.h"
#include "../cpu/gemm.h"
#include "../cpu/math.h"

namespace adjudge {
namespace {

constexpr int64_t query_block = 32;

struct Scratch {
  std::vector<float> rows_a, rows_b, pack_a, pack_b, pack_c, pack_d, scores, d_scores, dk, dv, values;
};

Scratch& scratch() {
  thread_local Scratch buffers;
  return buffers;
}

int64_t padded(int64_t keys) { return (keys + 15) / 16 * 16; }

// The row of a segment's key i.
int64_t row_of(const Segment& segment, int64_t i) {
  if (i < segment.kept_length) return i - segment.kept_length;
  i -= segment.kept_length;
  return i < segment.prefix_length ? segment.prefix_start + i : segment.start + i - segment.prefix_length;
}

// The segment's keys (or values) of one kv head, what is kept and the prefix first, contiguous
// [keys, head_dim].
void gather(const Segment& segment, const float* rows, int64_t stride, int64_t head_dim,
            std::vector<float>& out) {
  int64_t keys = segment.keys_before() + segment.length;
  out.resize(keys * head_dim);
  for (int64_t i = 0; i < keys; ++i)
    std::memcpy(&out[i * head_dim], rows + row_of(segment, i) * stride, head_dim * sizeof(float));
}

void scatter_add(const Segment& segment, const std::vector<float>& in, int64_t stride, int64_t head_dim,
                 float* rows) {
  int64_t keys = segment.prefix_length + segment.length;
  for (int64_t i = 0; i < keys; ++i)
    for (int64_t j = 0; j < head_dim; ++j) rows[row_of(segment, i) * stride + j] += in[i * head_dim + j];
}

void pack_into(std::vector<float>& packed, const float* b, int64_t column_stride, int64_t depth_stride,
               int64_t n, int64_t k) {
  packed.resize(packed_floats(n, k));
  pack_serial(b, column_stride, depth_stride, n, k, packed.data());
}

}  // namespace

float AttentionShape::scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim)); }

void attention_forward(const AttentionShape& shape, std::span<const Segment> segments, const float* q,
                       const float* k, const float* v, float* out, float* log_sum_exp) {
  const int64_t d = shape.head_dim, group = shape.heads / shape.kv_heads, width = shape.query_width();
  parallel_for(static_cast<int64_t>(segments.size()) * shape.kv_heads, [&](int64_t item, int) {
    const Segment& segment = segments[item / shape.kv_heads];
    const int64_t kv_head = item % shape.kv_heads, keys = segment.keys_before() + segment.length;
    Scratch& s = scratch();
    gather(segment, k + kv_head * d, shape.kv_width(), d, s.rows_a);
    pack_into(s.pack_a, s.rows_a.data(), d, 1, keys, d);
    gather(segment, v + kv_head * d, shape.kv_width(), d, s.rows_b);
    const int64_t panel = panel_width();
    // The values are packed for all keys; a block that sees fewer keys reads a prefix of each panel.
    pack_into(s.pack_b, s.rows_b.data(), 1, d, d, keys);
    s.scores.resize(query_block * padded(keys));
    for (int64_t g = 0; g < group; ++g) {
      const int64_t head = kv_head * group + g;
      for (int64_t first = 0; first < segment.length; first += query_block) {
        const int64_t rows = std::min(query_block, segment.length - first);
        const int64_t seen = segment.keys_before() + first + rows, stride = padded(seen);
        const float* queries = q + (segment.start + first) * width + head * d;
        gemm_serial(rows, seen, d, queries, width, 1, s.pack_a.data(), s.scores.data(), stride,
                    Store::assign);
        for (int64_t i = 0; i < rows; ++i)
          log_sum_exp[(segment.start + first + i) * shape.heads + head] = softmax_row(
              &s.scores[i * stride], segment.keys_before() + first + i + 1, stride, shape.scale());
        float* result = out + (segment.start + first) * width + head * d;
        for (int64_t column = 0; column < d; column += panel)
          gemm_serial(rows, std::min(panel, d - column), seen, s.scores.data(), stride, 1,
                      s.pack_b.data() + column * keys, result + column, width, Store::assign);
      }
    }
  });
}

void attention_backward(const AttentionShape& shape, std::span<const Segment> segments,
                        std::span<const int64_t> roots, const float* q, const float* k, const float* v,
                        const float* out, const float* d_out, const float* log_sum_exp, float* dq, float* dk,
                        float* dv) {
  const int64_t d = shape.head_dim, group = shape.heads / shape.kv_heads, width = shape.query_width();
  const float scale = shape.scale();
  parallel_for((static_cast<int64_t>(roots.size()) - 1) * shape.kv_heads, [&](int64_t item, int) {
    const int64_t root = item / shape.kv_heads, kv_head = item % shape.kv_heads;
    Scratch& s = scratch();
    for (int64_t index = roots[root]; index < roots[root + 1]; ++index) {
      const Segment& segment = segments[index];
      const int64_t keys = segment.prefix_length + segment.length;
      gather(segment, k + kv_head * d, shape.kv_width(), d, s.rows_a);
      gather(segment, v + kv_head * d, shape.kv_width(), d, s.rows_b);
      pack_into(s.pack_a, s.rows_a.data(), d, 1, keys, d);  // for S = Q·Kᵀ
      pack_into(s.pack_b, s.rows_b.data(), d, 1, keys, d);  // for dP = dO·Vᵀ
      pack_into(s.pack_c, s.rows_a.data(), 1, d, d, keys);  // for dQ = dS·K
      s.dk.assign(keys * d, 0.0f);
      s.dv.assign(keys * d, 0.0f);
      s.scores.resize(query_block * padded(keys));
      s.d_scores.resize(query_block * padded(keys));
      for (int64_t g = 0; g < group; ++g) {
        const int64_t head = kv_head * group + g;
        for (int64_t first = 0; first < segment.length; first += query_block) {
          const int64_t rows = std::min(query_block, segment.length - first), row0 = segment.start + first;
          const int64_t seen = segment.prefix_length + first + rows, stride = padded(seen);
          const float* queries = q + row0 * width + head * d;
          const float* d_result = d_out + row0 * width + head * d;
          const float* result = out + row0 * width + head * d;
          gemm_serial(rows, seen, d, queries, width, 1, s.pack_a.data(), s.scores.data(), stride,
                      Store::assign);
          gemm_serial(rows, seen, d, d_result, width, 1, s.pack_b.data(), s.d_scores.data(), stride,
                      Store::assign);
          for (int64_t i = 0; i < rows; ++i) {
            const int64_t count = segment.prefix_length + first + i + 1;
            float* p = &s.scores[i * stride];
            float* ds = &s.d_scores[i * stride];
            exp_minus(p, count, stride, scale, log_sum_exp[(row0 + i) * shape.heads + head]);
            float delta = 0;
            for (int64_t j = 0; j < d; ++j) delta += d_result[i * width + j] * result[i * width + j];
            for (int64_t j = 0; j < count; ++j) ds[j] = p[j] * (ds[j] - delta) * scale;
            std::fill(ds + count, ds + stride, 0.0f);
          }
          pack_into(s.pack_d, d_result, 1, width, d, rows);
          gemm_serial(seen, d, rows, s.scores.data(), 1, stride, s.pack_d.data(), s.dv.data(), d, Store::add);
          pack_into(s.pack_d, queries, 1, width, d, rows);
          gemm_serial(seen, d, rows, s.d_scores.data(), 1, stride, s.pack_d.data(), s.dk.data(), d,
                      Store::add);
          const int64_t panel = panel_width();
          for (int64_t column = 0; column < d; column += panel)
            gemm_serial(rows, std::min(panel, d - column), seen, s.d_scores.data(), stride, 1,
                        s.pack_c.data() + column * keys, dq + row0 * width + head * d + column, width,
                        Store::assign);
        }
      }
      scatter_add(segment, s.dk, shape.kv_width(), d, dk + kv_head * d);
      scatter_add(segment, s.dv, shape.kv_width(), d, dv + kv_head * d);
    }
  });
}

int64_t KvCache::key_floats() const { return capacity_ * shape_.head_dim; }
int64_t KvCache::value_floats() const {
  const int64_t panel = panel_width();
  return (shape_.head_dim + panel - 1) / panel * panel * capacity_;
}

void KvCache::reserve(int64_t positions) {
  positions -= start_;
  if (positions <= capacity_) return;
  const int64_t panel = panel_width(), panels = (shape_.head_dim + panel - 1) / panel,
                heads = layers_ * shape_.kv_heads;
  KvCache grown(shape_, layers_, prefix_);
  grown.capacity_ = (std::max(positions, capacity_ * 3 / 2) + panel - 1) / panel * panel;
  grown.length_ = length_;
  grown.keys_.assign(heads * grown.key_floats(), 0.0f);
  grown.values_.assign(heads * grown.value_floats(), 0.0f);
  for (int64_t head = 0; head < heads && capacity_; ++head) {
    std::copy_n(&keys_[head * key_floats()], key_floats(), &grown.keys_[head * grown.key_floats()]);
    for (int64_t p = 0; p < panels; ++p)
      std::copy_n(&values_[head * value_floats() + p * panel * capacity_], panel * capacity_,
                  &grown.values_[head * grown.value_floats() + p * panel * grown.capacity_]);
  }
  *this = std::move(grown);
}

void KvCache::write(int64_t layer, int64_t position, const float* k, const float* v) {
  const int64_t panel = panel_width(), d = shape_.head_dim;
  position -= start_;
  for (int64_t kv_head = 0; kv_head < shape_.kv_heads; ++kv_head) {
    const int64_t head = layer * shape_.kv_heads + kv_head;
    float* keys = &keys_[head * key_floats() + position / panel * panel * d + position % panel];
    for (int64_t j = 0; j < d; ++j) keys[j * panel] = k[kv_head * d + j];
    float* values = &values_[head * value_floats()];
    for (int64_t j = 0; j < d; ++j)
      values[(j / panel * capacity_ + position) * panel + j % panel] = v[kv_head * d + j];
  }
}

void KvCache::score(int64_t head, int64_t keys, const float* q, float* scores, int64_t stride) const {
  const int64_t d = shape_.head_dim, group = shape_.heads / shape_.kv_heads;
  gemm_serial(group, keys, d, q, d, 1, &keys_[head * key_floats()], scores, stride, Store::assign);
}

void KvCache::sum(int64_t head, int64_t keys, const float* weights, int64_t stride, float* out,
                  Store store) const {
  const int64_t panel = panel_width(), d = shape_.head_dim, group = shape_.heads / shape_.kv_heads;
  for (int64_t column = 0; column < d; column += panel)
    gemm_serial(group, std::min(panel, d - column), keys, weights, stride, 1,
                &values_[head * value_floats() + column * capacity_], out + column, d, store);
}

void KvCache::attend(int64_t layer, int64_t kv_head, int64_t keys, const float* q, float* out,
                     std::vector<float>& scores) const {
  const int64_t group = shape_.heads / shape_.kv_heads, stride = padded(keys);
  const int64_t head = layer * shape_.kv_heads + kv_head, own = keys - start_;
  scores.resize(group * stride);
  if (prefix_) prefix_->score(head, start_, q, scores.data(), stride);
  score(head, own, q, &scores[start_], stride);
  for (int64_t g = 0; g < group; ++g) softmax_row(&scores[g * stride], keys, stride, shape_.scale());
  // One chain over all positions, whoever holds them.
  if (prefix_) prefix_->sum(head, start_, scores.data(), stride, out, Store::assign);
  sum(head, own, &scores[start_], stride, out, prefix_ ? Store::resume : Store::assign);
}

}  // namespace adjudge
