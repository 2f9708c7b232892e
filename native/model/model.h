// A causal language model: log-probs, gradients, optimizer, generation, on one set of weights and kernels.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../io/tensor_source.h"
#include "config.h"
#include "packed_matrix.h"

namespace adjudge {

struct LoraOptions {
  int64_t rank = 16;
  double scale = 2.0;  // alpha / rank, or alpha / sqrt(rank) for rsLoRA
  std::vector<std::string>
      modules;  // module suffixes: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj
  uint64_t seed = 0;
};

// Prompts with their completions, packed. All spans are flat; offsets have one entry more than what they
// index. completion_group ascends; a prompt has at least one token. Completions of a group attend to one copy
// of their prompt.
struct GroupedBatch {
  std::span<const int32_t> prompt_tokens, prompt_offsets;
  std::span<const int32_t> completion_tokens, completion_offsets, completion_group;
  float temperature = 1.0f;
};

struct AdamwOptions {
  double learning_rate = 1e-4, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weight_decay = 0.0;
  double clip_norm = 0.0;  // 0 = no clipping
};

// Sampling from logits + beta · (smallest Q − V), by heads of the model.
struct QDecoding {
  float beta = 0;
  std::vector<std::string> q_heads;  // each with one output per token; empty = off
  std::string value_head;
};

struct SamplingOptions {
  int64_t completions = 1, max_tokens = 128, max_batch = 64, top_log_probs = 0;
  float temperature = 1.0f, top_p = 1.0f, min_p = 0.0f, repetition_penalty = 1.0f;
  int64_t top_k = 0;
  uint64_t seed = 0;
  std::vector<int32_t> eos_tokens;
  std::vector<std::string> stop_strings;
  // Bytes of every token, for stop strings: token i is bytes[offsets[i] .. offsets[i + 1]). Empty without
  // stop strings.
  std::string token_bytes;
  std::vector<int64_t> token_byte_offsets;
  QDecoding q_decoding;  // log-probs are then those of the shifted logits
};

struct TopLogProb {
  int32_t token;
  float log_prob;
};

struct OutputHeadOptions {
  std::string name;
  bool per_action = false;  // one output per token of the vocabulary, else one
  bool trainable = true, stop_gradient = false;
  float spread = 0;  // weights start uniform within ±spread; the bias starts at 0
  uint64_t seed = 0;
};

// A head's outputs for completion tokens; null = not asked for.
struct HeadScores {
  std::string head;
  float* values = nullptr;        // of the token
  float* log_sum_exps = nullptr;  // over all actions
};

struct HeadGradients {
  std::string head;
  const float* values = nullptr;        // d loss / d value of each completion token
  const float* log_sum_exps = nullptr;  // d loss / d log-sum-exp
};

// One per completion token; null = not asked for.
struct Scores {
  float* log_probs = nullptr;
  float* entropies = nullptr;
  float* sum_pi_squared = nullptr;  // sum over the vocabulary of the squared probabilities
  std::vector<HeadScores> heads;
};

// Tokens that sequences begin with, prefilled: keys and values [layers, tokens, kv_heads · head_dim], which
// scoring and generation reuse. Bound to the model's weights as they were.
struct Prefix {
  std::vector<int32_t> tokens;
  bool adapter = true;
  const void* model = nullptr;  // whose it is
  std::vector<float> keys, values;
  int64_t length() const { return static_cast<int64_t>(tokens.size()); }
  size_t bytes() const { return (keys.size() + values.size()) * sizeof(float); }
};

enum class Finish { stop, stop_string, length, cancelled };

struct GeneratedCompletion {
  int64_t prompt = 0, index = 0;
  std::vector<int32_t> tokens;
  std::vector<float> log_probs, sampling_log_probs;
  std::vector<TopLogProb> top_log_probs;  // [tokens, top_log_probs]
  Finish finish = Finish::length;
  int64_t stop_bytes = -1;  // length in bytes of the text before the stop string; -1 = none matched
};

struct Parameter {
  std::string name;  // Transformers' name, or PEFT's for adapters
  std::vector<int64_t> shape;
  float* value = nullptr;
  float* gradient = nullptr;  // null: frozen
  float* first_moment = nullptr;
  float* second_moment = nullptr;
  int64_t elements = 0;
};

class Model {
 public:
  // Copies the weights out of `source`. With `lora` the base is frozen. `trainable` false allocates no
  // gradients. dtype bfloat16: both factors of every product with a weight matrix are rounded to bfloat16;
  // the weights themselves, what steps change, stay f32, as do adapters, attention, norms and the residual
  // sum.
  Model(const ModelConfig&, const TensorSource& source, Dtype dtype, bool trainable, const LoraOptions* lora);
  ~Model();

  const ModelConfig& config() const;
  Dtype dtype() const;
  // Everything that has a value: base weights and adapters. Trainable ones have a gradient.
  std::span<Parameter> parameters();
  size_t bytes() const;
  // After values were written from outside: rebuilds the packed copies.
  void parameters_changed();

  // Prefills at least one token. `adapter` false: the frozen base.
  std::shared_ptr<const Prefix> prefix(std::span<const int32_t> tokens, bool adapter);
  // What is asked for, one per completion token. `adapter` false: the frozen base. With a prefix (of the same
  // model and `adapter`) the batch's prompts hold only what follows it; the results' bits are the same.
  void score(const GroupedBatch&, bool adapter, const Scores&, const Prefix* = nullptr);
  // logits [tokens, vocabulary] of one sequence.
  void logits(std::span<const int32_t> tokens, float* out);
  // Accumulates d(sum log_prob_gradients * log_prob + entropy_gradients * entropy + the heads' terms) /
  // d(parameters). Also returns the log-probs (may be null). Where all coefficients of a completion, or all
  // but those of heads, are exactly 0, log-probs may be left out (NaN).
  void backward(const GroupedBatch&, const float* log_prob_gradients, const float* entropy_gradients,
                float* log_probs, std::span<const HeadGradients> heads = {});
  void zero_gradients();
  // Clips, applies AdamW, zeroes the gradients; returns the global norm before clipping.
  double step(const AdamwOptions&);
  int64_t step_count() const;
  void set_step_count(int64_t);

  // Heads beside the language model's own, with parameters and optimizer state of their own. The value of a
  // token is that of the state before it (one output), or of the token in that state (per action).
  void add_head(const OutputHeadOptions&);
  std::vector<std::string> head_names() const;
  std::span<Parameter> head_parameters();  // heads.NAME.weight, heads.NAME.bias
  int64_t head_step_count(const std::string& name) const;
  void set_head_step_count(const std::string& name, int64_t);
  // As step(), for one head.
  double step_head(const std::string& name, const AdamwOptions&);
  // target += rate · (source - target): Polyak's average of a target network.
  void blend_head(const std::string& target, const std::string& source, double rate);

  using OnCompletion = std::function<void(GeneratedCompletion&&)>;
  void generate(std::span<const int32_t> prompt_tokens, std::span<const int32_t> prompt_offsets,
                const SamplingOptions&, const OnCompletion&, const std::atomic<bool>& cancelled,
                const Prefix* = nullptr);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace adjudge
