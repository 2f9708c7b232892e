// The weights of a model and the passes over packed rows that Model's calls are made of.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "attention.h"
#include "config.h"
#include "linear.h"
#include "model.h"

namespace adjudge {

struct Norm {
  float* value = nullptr;
  float* gradient = nullptr;
};

struct Layer {
  Norm attention_norm, mlp_norm;
  Linear q, k, v, o, gate, up, down;
};

// What one layer keeps from forward to backward, per row.
struct LayerActivations {
  std::vector<float> input, inverse_rms_1, q, k, v, log_sum_exp, attention, middle, inverse_rms_2, gate, up;
};

// Rows of a pass: tokens and positions [rows], segments in order, roots (see attention_backward).
struct Rows {
  std::vector<int32_t> tokens, positions;
  std::vector<Segment> segments;
  std::vector<int64_t> roots{0};
  const Prefix* prefix = nullptr;  // what all segments follow; forward passes only
  int64_t count() const { return static_cast<int64_t>(tokens.size()); }
  // Appends a segment of tokens after the prefixes; returns its first row.
  int64_t append(std::span<const int32_t> segment_tokens, int64_t prefix_start, int64_t prefix_length);
  void end_root() { roots.push_back(static_cast<int64_t>(segments.size())); }
};

// Buffers of the passes, kept from one call to the next: fresh pages cost as much time as a tenth of the
// arithmetic.
struct Workspace {
  std::vector<float> hidden, normed, h, d_normed, dh, d_attention, dq, dk, dv;
  LayerActivations layer;
  PackedMatrix packed_input, packed_middle;
};

struct Network {
  ModelConfig config;
  AttentionShape attention;
  Matrix embedding;  // [vocabulary, hidden]; packed where it is the head too
  Matrix head_matrix;
  Norm final_norm;
  std::vector<Layer> layers;
  std::vector<float> cosine, sine;  // [positions, head_dim / 2]

  const Matrix& head() const { return config.tied_head ? embedding : head_matrix; }
  void extend_rope(int64_t positions);

  // Hidden state before the final norm, [rows, hidden], valid until the next pass. `keep` receives
  // activations, or only feeds `on_layer`.
  using OnLayer = std::function<void(int64_t layer, const float* k, const float* v)>;
  const std::vector<float>& forward(const Rows&, bool adapter, std::vector<LayerActivations>* keep,
                                    const OnLayer& on_layer = {});
  // dx [rows, hidden]: gradient of the hidden state, overwritten on the way down; accumulates every gradient
  // below the final norm.
  void backward(const Rows&, std::vector<LayerActivations>&, float* dx);

  // Decode: one row per cache, at position caches[i]->length(); appends it to the cache. Returns hidden
  // [rows, hidden], valid until the next pass.
  const std::vector<float>& decode(std::span<const int32_t> tokens, std::span<KvCache* const> caches);
  // After the final norm: [rows, hidden], valid until the next pass.
  const std::vector<float>& normalize(int64_t rows, const float* hidden);
  // Final norm and head: logits [rows, vocabulary].
  void head_logits(int64_t rows, const float* hidden, std::vector<float>& logits);

 private:
  void mlp(const Layer&, int64_t rows, bool adapter, float* x, LayerActivations&);

  Workspace workspace_;
};

}  // namespace adjudge
