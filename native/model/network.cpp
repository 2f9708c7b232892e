#include "network.h"

#include <cmath>
#include <cstring>
#include <numbers>

#include "../core/cancel.h"
#include "../core/error.h"
#include "../core/thread_pool.h"
#include "../cpu/math.h"

namespace adjudge {

int64_t Rows::append(std::span<const int32_t> segment_tokens, int64_t prefix_start, int64_t prefix_length) {
  int64_t start = count();
  for (size_t i = 0; i < segment_tokens.size(); ++i) {
    tokens.push_back(segment_tokens[i]);
    positions.push_back(static_cast<int32_t>(prefix_length + static_cast<int64_t>(i)));
  }
  segments.push_back({start, static_cast<int64_t>(segment_tokens.size()), prefix_start, prefix_length});
  return start;
}

void Network::extend_rope(int64_t positions) {
  const int64_t half = config.head_dim / 2, known = static_cast<int64_t>(cosine.size()) / half;
  if (positions <= known) return;
  positions = std::max(positions, known * 2);
  cosine.resize(positions * half);
  sine.resize(positions * half);
  for (int64_t i = 0; i < half; ++i) {
    // f32 like Transformers, whose frequencies and angles are single precision.
    float frequency =
        1.0f / std::pow(static_cast<float>(config.rope_theta), static_cast<float>(2 * i) / config.head_dim);
    if (config.rope_scaling) {
      const Llama3RopeScaling& s = *config.rope_scaling;
      const double wavelength = 2 * std::numbers::pi / frequency;
      if (wavelength > s.original_positions / s.low_frequency_factor) {
        frequency /= static_cast<float>(s.factor);
      } else if (wavelength >= s.original_positions / s.high_frequency_factor) {
        const double smooth = (s.original_positions / wavelength - s.low_frequency_factor) /
                              (s.high_frequency_factor - s.low_frequency_factor);
        frequency = static_cast<float>((1 - smooth) * frequency / s.factor + smooth * frequency);
      }
    }
    for (int64_t p = known; p < positions; ++p) {
      const float angle = static_cast<float>(p) * frequency;
      cosine[p * half + i] = std::cos(angle);
      sine[p * half + i] = std::sin(angle);
    }
  }
}

void Network::mlp(const Layer& layer, int64_t rows, bool adapter, float* x, std::vector<float>& inverse_rms,
                  std::vector<float>& gate, std::vector<float>& up) {
  std::vector<float> normed(rows * config.hidden), h(rows * config.intermediate);
  inverse_rms.resize(rows);
  gate.resize(rows * config.intermediate);
  up.resize(rows * config.intermediate);
  rms_norm(x, layer.mlp_norm.value, config.norm_epsilon, rows, config.hidden, normed.data(),
           inverse_rms.data());
  layer.gate.forward(rows, normed.data(), gate.data(), adapter);
  layer.up.forward(rows, normed.data(), up.data(), adapter);
  swiglu(gate.data(), up.data(), rows * config.intermediate, h.data());
  layer.down.forward(rows, h.data(), normed.data(), adapter);
  add(x, normed.data(), rows * config.hidden);
}

std::vector<float> Network::forward(const Rows& input, bool adapter, std::vector<LayerActivations>* keep,
                                    const OnLayer& on_layer) {
  const int64_t rows = input.count(), width = config.hidden;
  int64_t last = 0;
  for (int32_t position : input.positions) last = std::max<int64_t>(last, position);
  extend_rope(last + 1);
  std::vector<float> x(rows * width), normed(rows * width);
  for (int64_t i = 0; i < rows; ++i)
    std::memcpy(&x[i * width], embedding.value + input.tokens[i] * width, width * sizeof(float));
  if (keep) keep->resize(layers.size());
  LayerActivations local;
  for (size_t l = 0; l < layers.size(); ++l) {
    check_cancelled();
    const Layer& layer = layers[l];
    LayerActivations& a = keep ? (*keep)[l] : local;
    if (keep) a.input = x;
    a.inverse_rms_1.resize(rows);
    a.q.resize(rows * attention.query_width());
    a.k.resize(rows * attention.kv_width());
    a.v.resize(rows * attention.kv_width());
    a.log_sum_exp.resize(rows * attention.heads);
    a.attention.resize(rows * attention.query_width());
    rms_norm(x.data(), layer.attention_norm.value, config.norm_epsilon, rows, width, normed.data(),
             a.inverse_rms_1.data());
    layer.q.forward(rows, normed.data(), a.q.data(), adapter);
    layer.k.forward(rows, normed.data(), a.k.data(), adapter);
    layer.v.forward(rows, normed.data(), a.v.data(), adapter);
    rope(a.q.data(), rows, attention.heads, attention.head_dim, attention.query_width(),
         input.positions.data(), cosine.data(), sine.data(), false);
    rope(a.k.data(), rows, attention.kv_heads, attention.head_dim, attention.kv_width(),
         input.positions.data(), cosine.data(), sine.data(), false);
    if (on_layer) on_layer(static_cast<int64_t>(l), a.k.data(), a.v.data());
    attention_forward(attention, input.segments, a.q.data(), a.k.data(), a.v.data(), a.attention.data(),
                      a.log_sum_exp.data());
    layer.o.forward(rows, a.attention.data(), normed.data(), adapter);
    add(x.data(), normed.data(), rows * width);
    if (keep) a.middle = x;
    mlp(layer, rows, adapter, x.data(), a.inverse_rms_2, a.gate, a.up);
  }
  return x;
}

void Network::backward(const Rows& input, std::vector<LayerActivations>& kept, std::vector<float> dx) {
  const int64_t rows = input.count(), width = config.hidden;
  std::vector<float> normed(rows * width), d_normed(rows * width), h(rows * config.intermediate),
      dh(rows * config.intermediate), d_attention(rows * attention.query_width()),
      dq(rows * attention.query_width()), dk, dv;
  PackedMatrix scratch;
  for (int64_t l = static_cast<int64_t>(layers.size()) - 1; l >= 0; --l) {
    check_cancelled();
    const Layer& layer = layers[l];
    LayerActivations& a = kept[l];
    swiglu(a.gate.data(), a.up.data(), rows * config.intermediate, h.data());
    layer.down.accumulate(rows, dx.data(), h.data(), scratch);
    layer.down.backward_input(rows, dx.data(), dh.data(), Store::assign);
    swiglu_backward(a.gate.data(), a.up.data(), dh.data(), rows * config.intermediate, a.gate.data(),
                    a.up.data());
    rms_norm(a.middle.data(), layer.mlp_norm.value, config.norm_epsilon, rows, width, normed.data(), nullptr);
    layer.gate.accumulate(rows, a.gate.data(), normed.data(), scratch);
    layer.up.accumulate(rows, a.up.data(), normed.data(), scratch);
    layer.gate.backward_input(rows, a.gate.data(), d_normed.data(), Store::assign);
    layer.up.backward_input(rows, a.up.data(), d_normed.data(), Store::add);
    rms_norm_backward(a.middle.data(), layer.mlp_norm.value, a.inverse_rms_2.data(), d_normed.data(), rows,
                      width, dx.data(), layer.mlp_norm.gradient);

    layer.o.accumulate(rows, dx.data(), a.attention.data(), scratch);
    layer.o.backward_input(rows, dx.data(), d_attention.data(), Store::assign);
    dk.assign(rows * attention.kv_width(), 0.0f);
    dv.assign(rows * attention.kv_width(), 0.0f);
    attention_backward(attention, input.segments, input.roots, a.q.data(), a.k.data(), a.v.data(),
                       a.attention.data(), d_attention.data(), a.log_sum_exp.data(), dq.data(), dk.data(),
                       dv.data());
    rope(dq.data(), rows, attention.heads, attention.head_dim, attention.query_width(),
         input.positions.data(), cosine.data(), sine.data(), true);
    rope(dk.data(), rows, attention.kv_heads, attention.head_dim, attention.kv_width(),
         input.positions.data(), cosine.data(), sine.data(), true);
    rms_norm(a.input.data(), layer.attention_norm.value, config.norm_epsilon, rows, width, normed.data(),
             nullptr);
    layer.q.accumulate(rows, dq.data(), normed.data(), scratch);
    layer.k.accumulate(rows, dk.data(), normed.data(), scratch);
    layer.v.accumulate(rows, dv.data(), normed.data(), scratch);
    layer.q.backward_input(rows, dq.data(), d_normed.data(), Store::assign);
    layer.k.backward_input(rows, dk.data(), d_normed.data(), Store::add);
    layer.v.backward_input(rows, dv.data(), d_normed.data(), Store::add);
    rms_norm_backward(a.input.data(), layer.attention_norm.value, a.inverse_rms_1.data(), d_normed.data(),
                      rows, width, dx.data(), layer.attention_norm.gradient);
  }
  if (!embedding.gradient) return;
  for (int64_t i = 0; i < rows; ++i) {
    float* gradient = embedding.gradient + input.tokens[i] * width;
    for (int64_t j = 0; j < width; ++j) gradient[j] += dx[i * width + j];
  }
}

std::vector<float> Network::decode(std::span<const int32_t> tokens, std::span<KvCache* const> caches) {
  const int64_t rows = static_cast<int64_t>(tokens.size()), width = config.hidden;
  std::vector<int32_t> positions(rows);
  int64_t last = 0;
  for (int64_t i = 0; i < rows; ++i) {
    positions[i] = static_cast<int32_t>(caches[i]->length());
    caches[i]->reserve(caches[i]->length() + 1);
    last = std::max<int64_t>(last, positions[i]);
  }
  extend_rope(last + 1);
  std::vector<float> x(rows * width), normed(rows * width), q(rows * attention.query_width()),
      k(rows * attention.kv_width()), v(rows * attention.kv_width()),
      attended(rows * attention.query_width()), inverse_rms, gate, up;
  for (int64_t i = 0; i < rows; ++i)
    std::memcpy(&x[i * width], embedding.value + tokens[i] * width, width * sizeof(float));
  const int64_t group = attention.heads / attention.kv_heads, d = attention.head_dim;
  for (size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    rms_norm(x.data(), layer.attention_norm.value, config.norm_epsilon, rows, width, normed.data(), nullptr);
    layer.q.forward(rows, normed.data(), q.data(), true);
    layer.k.forward(rows, normed.data(), k.data(), true);
    layer.v.forward(rows, normed.data(), v.data(), true);
    rope(q.data(), rows, attention.heads, d, attention.query_width(), positions.data(), cosine.data(),
         sine.data(), false);
    rope(k.data(), rows, attention.kv_heads, d, attention.kv_width(), positions.data(), cosine.data(),
         sine.data(), false);
    parallel_for(rows, [&](int64_t i, int) {
      thread_local std::vector<float> scores;
      caches[i]->write(static_cast<int64_t>(l), positions[i], &k[i * attention.kv_width()],
                       &v[i * attention.kv_width()]);
      for (int64_t kv_head = 0; kv_head < attention.kv_heads; ++kv_head) {
        const int64_t offset = i * attention.query_width() + kv_head * group * d;
        caches[i]->attend(static_cast<int64_t>(l), kv_head, positions[i] + 1, &q[offset], &attended[offset],
                          scores);
      }
    });
    layer.o.forward(rows, attended.data(), normed.data(), true);
    add(x.data(), normed.data(), rows * width);
    mlp(layer, rows, true, x.data(), inverse_rms, gate, up);
  }
  for (int64_t i = 0; i < rows; ++i) caches[i]->set_length(positions[i] + 1);
  return x;
}

void Network::head_logits(int64_t rows, const float* hidden, std::vector<float>& logits) const {
  std::vector<float> normed(rows * config.hidden);
  rms_norm(hidden, final_norm.value, config.norm_epsilon, rows, config.hidden, normed.data(), nullptr);
  logits.resize(rows * config.vocabulary);
  head().forward(rows, normed.data(), logits.data(), Store::assign);
}

}  // namespace adjudge
