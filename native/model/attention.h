// Causal attention over packed rows. A segment is a run of rows that may attend to one earlier run, its
// prefix: the completions of a group share one copy of their prompt. Every score is one FMA chain over
// head_dim and every output one chain over absolute key positions, so decode over a cache gives the same bits
// as training over rows.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "../cpu/gemm.h"

namespace adjudge {

struct Segment {
  int64_t start, length;                // rows
  int64_t prefix_start, prefix_length;  // rows of the shared prompt; length 0 = none
  // Keys and values of a pass before this one (see Prefix): the rows just before row 0 of k and v.
  int64_t kept_length = 0;
  int64_t keys_before() const { return kept_length + prefix_length; }
};

struct AttentionShape {
  int64_t heads, kv_heads, head_dim;
  int64_t query_width() const { return heads * head_dim; }
  int64_t kv_width() const { return kv_heads * head_dim; }
  float scale() const;
};

// q, out [rows, heads·head_dim]; k, v [rows, kv_heads·head_dim]; log_sum_exp [rows, heads].
// 2·2·rows·keys·heads·head_dim flops; memory linear in keys.
void attention_forward(const AttentionShape&, std::span<const Segment>, const float* q, const float* k,
                       const float* v, float* out, float* log_sum_exp);

// dq assigned; dk, dv accumulated (zero them first). `roots[i]..roots[i+1]` are the segments that share a
// prompt: one worker walks them in order, so sums into shared rows have one order.
void attention_backward(const AttentionShape&, std::span<const Segment>, std::span<const int64_t> roots,
                        const float* q, const float* k, const float* v, const float* out, const float* d_out,
                        const float* log_sum_exp, float* dq, float* dk, float* dv);

// Keys and values of one sequence, kept packed for the GEMM: a key costs no repacking at later steps. The
// completions of a prompt share its cache as their prefix, and hold only what comes after it.
class KvCache {
 public:
  KvCache(const AttentionShape& shape, int64_t layers, std::shared_ptr<const KvCache> prefix = nullptr)
      : shape_(shape),
        layers_(layers),
        prefix_(std::move(prefix)),
        start_(prefix_ ? prefix_->length() : 0),
        length_(start_) {}
  // Positions held, with the prefix.
  int64_t length() const { return length_; }
  void reserve(int64_t positions);
  // Rows [kv_width] of k and v for one position after the prefix, below what was reserved.
  void write(int64_t layer, int64_t position, const float* k, const float* v);
  void set_length(int64_t length) { length_ = length; }
  // One query row over the first `keys` positions, for one kv head: q, out [heads/kv_heads, head_dim] of that
  // kv head.
  void attend(int64_t layer, int64_t kv_head, int64_t keys, const float* q, float* out,
              std::vector<float>& scores) const;

 private:
  int64_t key_floats() const;    // per layer and kv head
  int64_t value_floats() const;  // per layer and kv head
  // Scores of the first `keys` positions held here, and the sums of values that they weigh.
  void score(int64_t head, int64_t keys, const float* q, float* scores, int64_t stride) const;
  void sum(int64_t head, int64_t keys, const float* weights, int64_t stride, float* out, Store store) const;
  AttentionShape shape_;
  int64_t layers_;
  std::shared_ptr<const KvCache> prefix_;  // has no prefix itself
  int64_t start_;                          // position of the first row held here
  int64_t length_;
  int64_t capacity_ = 0;  // rows
  std::vector<float> keys_, values_;
};

}  // namespace adjudge
