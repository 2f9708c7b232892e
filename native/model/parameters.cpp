// Loading of weights by Transformers' names, and LoRA adapters by PEFT's.
#include <cmath>

#include "../core/error.h"
#include "state.h"

namespace adjudge {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

float* allocate(Model::Impl& state, int64_t elements) {
  try {
    return state.memory.emplace_back(elements, 0.0f).data();
  } catch (const std::bad_alloc&) {
    throw Error{"MEMORY_EXCEEDED", "no memory for " + std::to_string(elements * 4) +
                                       " bytes of parameters; use LoRA or a smaller model"};
  }
}

Parameter allocate_parameter(Model::Impl& state, const std::string& name, std::vector<int64_t> shape,
                             bool trainable) {
  Parameter parameter;
  parameter.name = name;
  parameter.elements = 1;
  for (int64_t n : shape) parameter.elements *= n;
  parameter.shape = std::move(shape);
  parameter.value = allocate(state, parameter.elements);
  if (trainable) {
    parameter.gradient = allocate(state, parameter.elements);
    parameter.first_moment = allocate(state, parameter.elements);
    parameter.second_moment = allocate(state, parameter.elements);
  }
  return parameter;
}

class Builder {
 public:
  Builder(Model::Impl& state, const TensorSource& source, Dtype dtype, bool trainable)
      : state_(state), source_(source), dtype_(dtype), trainable_(trainable) {}

  Parameter& load(const std::string& name, std::vector<int64_t> shape, bool trainable) {
    const StoredTensor* tensor = source_.find(name);
    if (!tensor) throw Error{"MODEL_INVALID", "tensor " + name + " is missing from the model's files"};
    if (tensor->shape != shape)
      throw Error{"MODEL_INVALID", "tensor " + name + " has shape " + shape_text(tensor->shape) +
                                       "; config.json implies " + shape_text(shape)};
    Parameter& parameter = make(name, std::move(shape), trainable);
    read_all(*tensor, parameter.value);
    return parameter;
  }

  Parameter& make(const std::string& name, std::vector<int64_t> shape, bool trainable) {
    state_.parameters.push_back(allocate_parameter(state_, name, std::move(shape), trainable));
    return state_.parameters.back();
  }

  void matrix(Matrix& matrix, const std::string& name, int64_t out, int64_t in, bool trainable) {
    const Parameter& parameter = load(name, {out, in}, trainable);
    place(matrix, out, in, parameter);
    matrix.dtype = dtype_;
  }

  void norm(Norm& norm, const std::string& name, int64_t width, bool trainable) {
    const Parameter& parameter = load(name, {width}, trainable);
    norm = {parameter.value, parameter.gradient};
  }

  void linear(Linear& linear, const std::string& path, int64_t out, int64_t in, const LoraOptions* lora) {
    linear.name = path;
    matrix(linear.base, path + ".weight", out, in, trainable_ && !lora);
    if (!lora || !chosen(path, lora->modules)) return;
    ++adapters;
    const Parameter a = make("base_model.model." + path + ".lora_A.weight", {lora->rank, in}, trainable_);
    const Parameter b = make("base_model.model." + path + ".lora_B.weight", {out, lora->rank}, trainable_);
    // PEFT's start: A uniform within 1/sqrt(in) (Kaiming with slope sqrt(5)), B zero, so the adapter changes
    // nothing.
    const float bound = 1.0f / std::sqrt(static_cast<float>(in));
    for (int64_t i = 0; i < a.elements; ++i) a.value[i] = bound * (2.0f * uniform(lora->seed) - 1.0f);
    place(linear.a, lora->rank, in, a);
    place(linear.b, out, lora->rank, b);
    linear.scale = static_cast<float>(lora->scale);
  }

  int64_t adapters = 0;

 private:
  static void place(Matrix& matrix, int64_t out, int64_t in, const Parameter& parameter) {
    matrix.out = out;
    matrix.in = in;
    matrix.value = parameter.value;
    matrix.gradient = parameter.gradient;
  }

  static bool chosen(const std::string& path, const std::vector<std::string>& modules) {
    for (const std::string& module : modules)
      if (path == module || path.ends_with("." + module)) return true;
    return false;
  }

  float uniform(uint64_t seed) { return counted_uniform(seed, ++counter_); }

  Model::Impl& state_;
  const TensorSource& source_;
  Dtype dtype_;
  bool trainable_;
  uint64_t counter_ = 0;
};

}  // namespace

float counted_uniform(uint64_t seed, uint64_t counter) {
  uint64_t z = seed + 0x9e3779b97f4a7c15ull * counter;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return static_cast<float>((z ^ (z >> 31)) >> 40) * 0x1p-24f;
}

Parameter make_head_parameter(Model::Impl& state, const std::string& name, std::vector<int64_t> shape,
                              bool trainable) {
  state.head_parameters.push_back(allocate_parameter(state, name, std::move(shape), trainable));
  return state.head_parameters.back();
}

void build_parameters(Model::Impl& state, const TensorSource& source, Dtype dtype, bool trainable,
                      const LoraOptions* lora) {
  Network& network = state.network;
  const ModelConfig& c = network.config;
  network.attention = {c.heads, c.kv_heads, c.head_dim};
  const bool base = trainable && !lora;
  Builder builder(state, source, dtype, trainable);
  builder.matrix(network.embedding, "model.embed_tokens.weight", c.vocabulary, c.hidden, base);
  network.layers.resize(c.layers);
  for (int64_t l = 0; l < c.layers; ++l) {
    Layer& layer = network.layers[l];
    const std::string path = "model.layers." + std::to_string(l);
    builder.norm(layer.attention_norm, path + ".input_layernorm.weight", c.hidden, base);
    builder.linear(layer.q, path + ".self_attn.q_proj", c.heads * c.head_dim, c.hidden, lora);
    builder.linear(layer.k, path + ".self_attn.k_proj", c.kv_heads * c.head_dim, c.hidden, lora);
    builder.linear(layer.v, path + ".self_attn.v_proj", c.kv_heads * c.head_dim, c.hidden, lora);
    builder.linear(layer.o, path + ".self_attn.o_proj", c.hidden, c.heads * c.head_dim, lora);
    builder.norm(layer.mlp_norm, path + ".post_attention_layernorm.weight", c.hidden, base);
    builder.linear(layer.gate, path + ".mlp.gate_proj", c.intermediate, c.hidden, lora);
    builder.linear(layer.up, path + ".mlp.up_proj", c.intermediate, c.hidden, lora);
    builder.linear(layer.down, path + ".mlp.down_proj", c.hidden, c.intermediate, lora);
  }
  builder.norm(network.final_norm, "model.norm.weight", c.hidden, base);
  if (!c.tied_head) builder.matrix(network.head_matrix, "lm_head.weight", c.vocabulary, c.hidden, base);
  if (lora && !builder.adapters)
    throw Error{"LORA_INVALID",
                "no layer matches the adapter's target modules; linear layers are q_proj, k_proj, v_proj, "
                "o_proj, gate_proj, up_proj, down_proj"};
}

namespace {

void pack_matrices(Network& network, bool all) {
  auto pack = [&](Matrix& matrix) {
    if (matrix.out && (all || matrix.gradient)) matrix.pack();
  };
  pack(network.config.tied_head ? network.embedding : network.head_matrix);
  for (Layer& layer : network.layers)
    for (Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      pack(linear->base);
      pack(linear->a);
      pack(linear->b);
    }
}

}  // namespace

void pack_all(Network& network) { pack_matrices(network, true); }
void repack_trainable(Network& network) { pack_matrices(network, false); }

}  // namespace adjudge
