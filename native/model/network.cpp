#include "network.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <numbers>

#include "../core/cancel.h"
#include "../core/error.h"
#include "../core/thread_pool.h"
#include "../cpu/math.h"

namespace adjudge {

int64_t Rows::append(std::span<const int32_t> segment_tokens, int64_t prefix_start, int64_t prefix_length) {
  const int64_t start = count(), kept = prefix ? prefix->length() : 0;
  for (size_t i = 0; i < segment_tokens.size(); ++i) {
    tokens.push_back(segment_tokens[i]);
    positions.push_back(static_cast<int32_t>(kept + prefix_length + static_cast<int64_t>(i)));
  }
  segments.push_back({start, static_cast<int64_t>(segment_tokens.size()), prefix_start, prefix_length, kept});
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

void Network::mlp(const Layer& layer, int64_t rows, bool adapter, float* x, LayerActivations& a) {
  std::vector<float>&normed = workspace_.normed, &h = workspace_.h;
  normed.resize(rows * config.hidden);
  h.resize(rows * config.intermediate);
  a.inverse_rms_2.resize(rows);
  a.gate.resize(rows * config.intermediate);
  a.up.resize(rows * config.intermediate);
  rms_norm(x, layer.mlp_norm.value, config.norm_epsilon, rows, config.hidden, normed.data(),
           a.inverse_rms_2.data());
  layer.gate.forward(rows, normed.data(), a.gate.data(), adapter);
  layer.up.forward(rows, normed.data(), a.up.data(), adapter);
  swiglu(a.gate.data(), a.up.data(), rows * config.intermediate, h.data());
  layer.down.forward(rows, h.data(), normed.data(), adapter);
  add(x, normed.data(), rows * config.hidden);
}

const std::vector<float>& Network::forward(const Rows& input, bool adapter,
                                           std::vector<LayerActivations>* keep, const OnLayer& on_layer) {
  const int64_t rows = input.count(), width = config.hidden;
  const int64_t kept = (input.prefix ? input.prefix->length() : 0) * attention.kv_width();
  int64_t last = 0;
  for (int32_t position : input.positions) last = std::max<int64_t>(last, position);
  extend_rope(last + 1);
  std::vector<float>&x = workspace_.hidden, &normed = workspace_.normed;
  x.resize(rows * width);
  normed.resize(rows * width);
  for (int64_t i = 0; i < rows; ++i)
    std::memcpy(&x[i * width], embedding.value + input.tokens[i] * width, width * sizeof(float));
  if (keep) keep->resize(layers.size());
  for (size_t l = 0; l < layers.size(); ++l) {
    check_cancelled();
    const Layer& layer = layers[l];
    LayerActivations& a = keep ? (*keep)[l] : workspace_.layer;
    if (keep) a.input = x;
    a.inverse_rms_1.resize(rows);
    a.q.resize(rows * attention.query_width());
    a.k.resize(kept + rows * attention.kv_width());
    a.v.resize(kept + rows * attention.kv_width());
    float *k = a.k.data() + kept, *v = a.v.data() + kept;
    if (kept) {
      std::copy_n(input.prefix->keys.data() + l * kept, kept, a.k.data());
      std::copy_n(input.prefix->values.data() + l * kept, kept, a.v.data());
    }
    a.log_sum_exp.resize(rows * attention.heads);
    a.attention.resize(rows * attention.query_width());
    rms_norm(x.data(), layer.attention_norm.value, config.norm_epsilon, rows, width, normed.data(),
             a.inverse_rms_1.data());
    layer.q.forward(rows, normed.data(), a.q.data(), adapter);
    layer.k.forward(rows, normed.data(), k, adapter);
    layer.v.forward(rows, normed.data(), v, adapter);
    rope(a.q.data(), rows, attention.heads, attention.head_dim, attention.query_width(),
         input.positions.data(), cosine.data(), sine.data(), false);
    rope(k, rows, attention.kv_heads, attention.head_dim, attention.kv_width(), input.positions.data(),
         cosine.data(), sine.data(), false);
    if (on_layer) on_layer(static_cast<int64_t>(l), k, v);
    attention_forward(attention, input.segments, a.q.data(), k, v, a.attention.data(), a.log_sum_exp.data());
    layer.o.forward(rows, a.attention.data(), normed.data(), adapter);
    add(x.data(), normed.data(), rows * width);
    if (keep) a.middle = x;
    mlp(layer, rows, adapter, x.data(), a);
  }
  return x;
}

void Network::backward(const Rows& input, std::vector<LayerActivations>& kept, float* dx) {
  const int64_t rows = input.count(), width = config.hidden;
  auto &normed = workspace_.normed, &h = workspace_.h, &d_normed = workspace_.d_normed, &dh = workspace_.dh,
       &d_attention = workspace_.d_attention, &dq = workspace_.dq, &dk = workspace_.dk, &dv = workspace_.dv;
  PackedMatrix &packed_input = workspace_.packed_input, &packed_middle = workspace_.packed_middle;
  normed.resize(rows * width);
  d_normed.resize(rows * width);
  h.resize(rows * config.intermediate);
  dh.resize(rows * config.intermediate);
  d_attention.resize(rows * attention.query_width());
  dq.resize(rows * attention.query_width());
  // Gradients of layers that read the same x [rows, in], which is packed once for all.
  struct Product {
    const Linear* linear;
    const float* dy;
  };
  const auto accumulate = [&](int64_t in, const float* x, std::initializer_list<Product> products) {
    const auto first = std::find_if(products.begin(), products.end(),
                                    [](const Product& product) { return product.linear->trained(); });
    if (first == products.end()) return;
    packed_input.pack_depths(first->linear->trained()->dtype, x, rows, in);
    for (const Product& product : products)
      product.linear->accumulate(rows, product.dy, x, packed_input, packed_middle);
  };
  for (int64_t l = static_cast<int64_t>(layers.size()) - 1; l >= 0; --l) {
    check_cancelled();
    const Layer& layer = layers[l];
    LayerActivations& a = kept[l];
    swiglu(a.gate.data(), a.up.data(), rows * config.intermediate, h.data());
    accumulate(config.intermediate, h.data(), {{&layer.down, dx}});
    layer.down.backward_input(rows, dx, dh.data(), Store::assign);
    swiglu_backward(a.gate.data(), a.up.data(), dh.data(), rows * config.intermediate, a.gate.data(),
                    a.up.data());
    rms_norm(a.middle.data(), layer.mlp_norm.value, config.norm_epsilon, rows, width, normed.data(), nullptr);
    accumulate(width, normed.data(), {{&layer.gate, a.gate.data()}, {&layer.up, a.up.data()}});
    layer.gate.backward_input(rows, a.gate.data(), d_normed.data(), Store::assign);
    layer.up.backward_input(rows, a.up.data(), d_normed.data(), Store::add);
    rms_norm_backward(a.middle.data(), layer.mlp_norm.value, a.inverse_rms_2.data(), d_normed.data(), rows,
                      width, dx, layer.mlp_norm.gradient);

    accumulate(attention.query_width(), a.attention.data(), {{&layer.o, dx}});
    layer.o.backward_input(rows, dx, d_attention.data(), Store::assign);
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
    accumulate(width, normed.data(), {{&layer.q, dq.data()}, {&layer.k, dk.data()}, {&layer.v, dv.data()}});
    layer.q.backward_input(rows, dq.data(), d_normed.data(), Store::assign);
    layer.k.backward_input(rows, dk.data(), d_normed.data(), Store::add);
    layer.v.backward_input(rows, dv.data(), d_normed.data(), Store::add);
    rms_norm_backward(a.input.data(), layer.attention_norm.value, a.inverse_rms_1.data(), d_normed.data(),
                      rows, width, dx, layer.attention_norm.gradient);
  }
  if (!embedding.gradient) return;
  for (int64_t i = 0; i < rows; ++i) {
    float* gradient = embedding.gradient + input.tokens[i] * width;
    for (int64_t j = 0; j < width; ++j) gradient[j] += dx[i * width + j];
  }
}

const std::vector<float>& Network::decode(std::span<const int32_t> tokens, std::span<KvCache* const> caches) {
  const int64_t rows = static_cast<int64_t>(tokens.size()), width = config.hidden;
  std::vector<int32_t> positions(rows);
  int64_t last = 0;
  for (int64_t i = 0; i < rows; ++i) {
    positions[i] = static_cast<int32_t>(caches[i]->length());
    caches[i]->reserve(caches[i]->length() + 1);
    last = std::max<int64_t>(last, positions[i]);
  }
  extend_rope(last + 1);
  std::vector<float>&x = workspace_.hidden, &normed = workspace_.normed;
  LayerActivations& a = workspace_.layer;
  x.resize(rows * width);
  normed.resize(rows * width);
  a.q.resize(rows * attention.query_width());
  a.k.resize(rows * attention.kv_width());
  a.v.resize(rows * attention.kv_width());
  a.attention.resize(rows * attention.query_width());
  for (int64_t i = 0; i < rows; ++i)
    std::memcpy(&x[i * width], embedding.value + tokens[i] * width, width * sizeof(float));
  const int64_t group = attention.heads / attention.kv_heads, d = attention.head_dim;
  for (size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    rms_norm(x.data(), layer.attention_norm.value, config.norm_epsilon, rows, width, normed.data(), nullptr);
    layer.q.forward(rows, normed.data(), a.q.data(), true);
    layer.k.forward(rows, normed.data(), a.k.data(), true);
    layer.v.forward(rows, normed.data(), a.v.data(), true);
    rope(a.q.data(), rows, attention.heads, d, attention.query_width(), positions.data(), cosine.data(),
         sine.data(), false);
    rope(a.k.data(), rows, attention.kv_heads, d, attention.kv_width(), positions.data(), cosine.data(),
         sine.data(), false);
    parallel_for(rows, [&](int64_t i, int) {
      thread_local std::vector<float> scores;
      caches[i]->write(static_cast<int64_t>(l), positions[i], &a.k[i * attention.kv_width()],
                       &a.v[i * attention.kv_width()]);
      for (int64_t kv_head = 0; kv_head < attention.kv_heads; ++kv_head) {
        const int64_t offset = i * attention.query_width() + kv_head * group * d;
        caches[i]->attend(static_cast<int64_t>(l), kv_head, positions[i] + 1, &a.q[offset],
                          &a.attention[offset], scores);
      }
    });
    layer.o.forward(rows, a.attention.data(), normed.data(), true);
    add(x.data(), normed.data(), rows * width);
    mlp(layer, rows, true, x.data(), a);
  }
  for (int64_t i = 0; i < rows; ++i) caches[i]->set_length(positions[i] + 1);
  return x;
}

const std::vector<float>& Network::normalize(int64_t rows, const float* hidden) {
  std::vector<float>& normed = workspace_.normed;
  normed.resize(rows * config.hidden);
  rms_norm(hidden, final_norm.value, config.norm_epsilon, rows, config.hidden, normed.data(), nullptr);
  return normed;
}

void Network::head_logits(int64_t rows, const float* hidden, std::vector<float>& logits) {
  const std::vector<float>& normed = normalize(rows, hidden);
  logits.resize(rows * config.vocabulary);
  head().forward(rows, normed.data(), logits.data(), Store::assign);
}

}  // namespace adjudge
