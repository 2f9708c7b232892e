// A small random model, and a batch of grouped completions for it.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/model.h"
#include "model/sample.h"

namespace adjudge {
namespace {

// Weights in memory, made from a seed.
class RandomSource : public TensorSource {
 public:
  explicit RandomSource(const ModelConfig& c) {
    auto add = [&](const std::string& name, std::vector<int64_t> shape, float spread, float centre) {
      int64_t count = 1;
      for (int64_t n : shape) count *= n;
      std::vector<float>& values = memory_[name];
      for (int64_t i = 0; i < count; ++i)
        values.push_back(centre + spread * static_cast<float>(keyed_uniform(memory_.size(), 1, 2, i) - 0.5));
      StoredTensor& tensor = tensors_[name];
      tensor.name = name;
      tensor.shape = shape;
      tensor.data = reinterpret_cast<const std::byte*>(values.data());
      tensor.bytes = values.size() * sizeof(float);
    };
    add("model.embed_tokens.weight", {c.vocabulary, c.hidden}, 1.0f, 0);
    for (int64_t l = 0; l < c.layers; ++l) {
      const std::string p = "model.layers." + std::to_string(l) + ".";
      add(p + "input_layernorm.weight", {c.hidden}, 0.4f, 1);
      add(p + "post_attention_layernorm.weight", {c.hidden}, 0.4f, 1);
      add(p + "self_attn.q_proj.weight", {c.heads * c.head_dim, c.hidden}, 0.6f, 0);
      add(p + "self_attn.k_proj.weight", {c.kv_heads * c.head_dim, c.hidden}, 0.6f, 0);
      add(p + "self_attn.v_proj.weight", {c.kv_heads * c.head_dim, c.hidden}, 0.6f, 0);
      add(p + "self_attn.o_proj.weight", {c.hidden, c.heads * c.head_dim}, 0.6f, 0);
      add(p + "mlp.gate_proj.weight", {c.intermediate, c.hidden}, 0.6f, 0);
      add(p + "mlp.up_proj.weight", {c.intermediate, c.hidden}, 0.6f, 0);
      add(p + "mlp.down_proj.weight", {c.hidden, c.intermediate}, 0.6f, 0);
    }
    add("model.norm.weight", {c.hidden}, 0.4f, 1);
    add("lm_head.weight", {c.vocabulary, c.hidden}, 0.6f, 0);
  }
  const StoredTensor* find(std::string_view name) const override {
    auto found = tensors_.find(std::string(name));
    return found == tensors_.end() ? nullptr : &found->second;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : tensors_) all.push_back(name);
    return all;
  }
  void forget(const std::string& name) { tensors_.erase(name); }

 private:
  std::map<std::string, std::vector<float>> memory_;
  std::map<std::string, StoredTensor> tensors_;
};

inline ModelConfig small(bool tied) {
  ModelConfig c;
  c.family = "llama";
  c.vocabulary = 37;
  c.hidden = 24;
  c.intermediate = 40;
  c.layers = 2;
  c.heads = 4;
  c.kv_heads = 2;
  c.head_dim = 6;
  c.max_positions = 200;
  c.tied_head = tied;
  return c;
}

struct Example {
  std::vector<int32_t> prompts{3, 5, 7, 9, 11, 2, 4}, prompt_offsets{0, 5, 7};
  std::vector<int32_t> tokens, offsets{0}, groups;
  std::vector<float> log_prob_gradients, entropy_gradients;
  Example() {
    const std::vector<std::pair<int, int>> lengths{{0, 4}, {0, 1}, {0, 6}, {1, 3}, {1, 5}};
    for (auto [group, length] : lengths) {
      for (int t = 0; t < length; ++t) {
        const size_t i = tokens.size();
        tokens.push_back(static_cast<int32_t>((i * 13 + 5) % 37));
        log_prob_gradients.push_back(std::sin(static_cast<float>(i)));
        entropy_gradients.push_back(i % 3 ? 0.3f : 0.0f);
      }
      offsets.push_back(static_cast<int32_t>(tokens.size()));
      groups.push_back(group);
    }
  }
  GroupedBatch batch(float temperature = 0.8f) const {
    return {prompts, prompt_offsets, tokens, offsets, groups, temperature};
  }
  double objective(Model& model) const {
    std::vector<float> log_probs(tokens.size()), entropies(tokens.size());
    model.score(batch(), true, {.log_probs = log_probs.data(), .entropies = entropies.data(), .heads = {}});
    double sum = 0;
    for (size_t i = 0; i < tokens.size(); ++i)
      sum += static_cast<double>(log_prob_gradients[i]) * log_probs[i] +
             static_cast<double>(entropy_gradients[i]) * entropies[i];
    return sum;
  }
};

}  // namespace
}  // namespace adjudge
