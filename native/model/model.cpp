#include "model.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "../core/error.h"
#include "../core/thread_pool.h"
#include "../cpu/math.h"
#include "state.h"

namespace adjudge {
namespace {

constexpr int64_t row_budget = 1024;  // rows of a micro-batch: part of what makes a run's bits, so fixed
constexpr int64_t head_chunk = 256;   // rows whose logits exist at once

void gather_hidden(const MicroBatch& part, int64_t first, int64_t count, int64_t width,
                   const std::vector<float>& x, std::vector<float>& hidden) {
  hidden.resize(count * width);
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(&hidden[i * width], &x[part.head[first + i].row * width], width * sizeof(float));
}

}  // namespace

Model::Model(const ModelConfig& config, const TensorSource& source, Dtype dtype, bool trainable,
             const LoraOptions* lora)
    : impl_(std::make_unique<Impl>()) {
  impl_->network.config = config;
  build_parameters(*impl_, source, dtype, trainable, lora);
  pack_all(impl_->network);
}

Model::~Model() = default;

Dtype Model::dtype() const { return impl_->network.head().dtype; }
const ModelConfig& Model::config() const { return impl_->network.config; }
std::span<Parameter> Model::parameters() { return impl_->parameters; }
int64_t Model::step_count() const { return impl_->step_count; }
void Model::set_step_count(int64_t count) { impl_->step_count = count; }
void Model::parameters_changed() {
  std::lock_guard lock(impl_->mutex);
  pack_all(impl_->network);
}

size_t Model::bytes() const {
  size_t bytes = 0;
  for (const auto& block : impl_->memory) bytes += block.size() * sizeof(float);
  auto add = [&](const Matrix& matrix) {
    bytes += matrix.packed_forward.bytes() + matrix.packed_backward.bytes();
  };
  const Network& network = impl_->network;
  add(network.head());
  for (const Layer& layer : network.layers)
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down})
      for (const Matrix* matrix : {&linear->base, &linear->a, &linear->b}) add(*matrix);
  return bytes;
}

void Model::log_probs(const GroupedBatch& batch, bool adapter, float* log_probs, float* entropies) {
  check_batch(batch, config());
  Network& network = impl_->network;
  std::vector<int64_t> lengths;
  for (size_t c = 0; c < batch.completion_group.size(); ++c)
    lengths.push_back(batch.completion_offsets[c + 1] - batch.completion_offsets[c]);
  const int64_t width = network.config.hidden, vocabulary = network.config.vocabulary;
  const float inverse_temperature = 1.0f / batch.temperature;
  std::vector<float> hidden, logits;
  for (const MicroBatch& part : plan_micro_batches(batch, lengths, {}, row_budget)) {
    std::lock_guard lock(impl_->mutex);
    const std::vector<float>& x = network.forward(part.rows, adapter, nullptr);
    const int64_t total = static_cast<int64_t>(part.head.size());
    for (int64_t first = 0; first < total; first += head_chunk) {
      const int64_t count = std::min(head_chunk, total - first);
      gather_hidden(part, first, count, width, x, hidden);
      network.head_logits(count, hidden.data(), logits);
      parallel_for(count, [&](int64_t i, int) {
        const HeadRow& row = part.head[first + i];
        const float* z = &logits[i * vocabulary];
        const float lse =
            log_sum_exp(z, vocabulary, inverse_temperature, entropies ? &entropies[row.output] : nullptr);
        log_probs[row.output] = z[row.target] * inverse_temperature - lse;
      });
    }
  }
}

void Model::logits(std::span<const int32_t> tokens, float* out) {
  if (tokens.empty()) throw Error{"ARGUMENT_INVALID", "logits needs at least one token"};
  check_tokens(tokens, config());
  if (static_cast<int64_t>(tokens.size()) > config().max_positions)
    throw Error{"CONTEXT_EXCEEDED", std::to_string(tokens.size()) + " tokens exceed the model's context of " +
                                        std::to_string(config().max_positions)};
  std::lock_guard lock(impl_->mutex);
  Network& network = impl_->network;
  Rows rows;
  rows.append(tokens, 0, 0);
  rows.end_root();
  const std::vector<float>& x = network.forward(rows, true, nullptr);
  std::vector<float> chunk;
  for (int64_t first = 0; first < rows.count(); first += head_chunk) {
    const int64_t count = std::min(head_chunk, rows.count() - first);
    network.head_logits(count, &x[first * network.config.hidden], chunk);
    std::memcpy(out + first * network.config.vocabulary, chunk.data(), chunk.size() * sizeof(float));
  }
}

void Model::backward(const GroupedBatch& batch, const float* log_prob_gradients,
                     const float* entropy_gradients, float* log_probs) {
  check_batch(batch, config());
  Network& network = impl_->network;
  const int64_t width = network.config.hidden, vocabulary = network.config.vocabulary;
  const size_t tokens = batch.completion_tokens.size();
  std::vector<uint8_t> wanted(tokens);
  for (size_t i = 0; i < tokens; ++i) {
    const float entropy = entropy_gradients ? entropy_gradients[i] : 0.0f;
    if (!std::isfinite(log_prob_gradients[i]) || !std::isfinite(entropy))
      throw Error{"ARGUMENT_INVALID",
                  "the gradient of completion token " + std::to_string(i) + " is not a finite number"};
    wanted[i] = log_prob_gradients[i] != 0.0f || entropy != 0.0f;
    if (log_probs) log_probs[i] = std::numeric_limits<float>::quiet_NaN();
  }
  std::vector<int64_t> lengths;
  for (size_t c = 0; c < batch.completion_group.size(); ++c) {
    int64_t length = batch.completion_offsets[c + 1] - batch.completion_offsets[c];
    while (length && !wanted[batch.completion_offsets[c] + length - 1]) --length;
    lengths.push_back(length);
  }
  const Matrix& head = network.head();
  const float inverse_temperature = 1.0f / batch.temperature;
  std::vector<float>& logits = impl_->logits;
  std::vector<float> hidden, normed, inverse_rms, d_normed, d_hidden, dx;
  PackedMatrix packed;
  for (const MicroBatch& part : plan_micro_batches(batch, lengths, wanted, row_budget)) {
    std::lock_guard lock(impl_->mutex);
    std::vector<LayerActivations>& kept = impl_->activations;
    const std::vector<float>& x = network.forward(part.rows, true, &kept);
    dx.assign(x.size(), 0.0f);
    const int64_t total = static_cast<int64_t>(part.head.size());
    for (int64_t first = 0; first < total; first += head_chunk) {
      const int64_t count = std::min(head_chunk, total - first);
      gather_hidden(part, first, count, width, x, hidden);
      normed.resize(count * width);
      inverse_rms.resize(count);
      rms_norm(hidden.data(), network.final_norm.value, network.config.norm_epsilon, count, width,
               normed.data(), inverse_rms.data());
      logits.resize(count * vocabulary);
      head.forward(count, normed.data(), logits.data(), Store::assign);
      parallel_for(count, [&](int64_t i, int) {
        const HeadRow& row = part.head[first + i];
        float* z = &logits[i * vocabulary];
        const float entropy_gradient = entropy_gradients ? entropy_gradients[row.output] : 0.0f;
        float entropy = 0;
        const float lse =
            log_sum_exp(z, vocabulary, inverse_temperature, entropy_gradient != 0.0f ? &entropy : nullptr);
        if (log_probs) log_probs[row.output] = z[row.target] * inverse_temperature - lse;
        log_prob_gradient(z, vocabulary, inverse_temperature, lse, entropy, row.target,
                          log_prob_gradients[row.output], entropy_gradient);
      });
      d_normed.resize(count * width);
      head.backward_input(count, logits.data(), d_normed.data(), Store::assign);
      if (head.gradient) {
        packed.pack_depths(head.dtype, normed.data(), count, width);
        head.accumulate(logits.data(), packed);
      }
      d_hidden.assign(count * width, 0.0f);
      rms_norm_backward(hidden.data(), network.final_norm.value, inverse_rms.data(), d_normed.data(), count,
                        width, d_hidden.data(), network.final_norm.gradient);
      // Completions of a group share the prompt's last row, so rows are added up in order.
      for (int64_t i = 0; i < count; ++i) {
        float* target = &dx[part.head[first + i].row * width];
        for (int64_t j = 0; j < width; ++j) target[j] += d_hidden[i * width + j];
      }
    }
    network.backward(part.rows, kept, dx.data());
  }
}

void Model::zero_gradients() {
  std::lock_guard lock(impl_->mutex);
  for (Parameter& p : impl_->parameters)
    if (p.gradient) std::memset(p.gradient, 0, p.elements * sizeof(float));
}

double Model::step(const AdamwOptions& options) {
  std::lock_guard lock(impl_->mutex);
  double squares = 0;
  bool trainable = false;
  for (const Parameter& p : impl_->parameters)
    if (p.gradient) {
      trainable = true;
      squares += sum_of_squares(p.gradient, p.elements);
    }
  if (!trainable)
    throw Error{"NOT_TRAINABLE", "the model was loaded without gradients; load it with trainable: true"};
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm))
    throw Error{
        "GRADIENT_NOT_FINITE",
        "the gradient's norm is not finite; the weights were left as they are. Lower the learning rate"};
  const double scale =
      options.clip_norm > 0 && norm > options.clip_norm ? options.clip_norm / (norm + 1e-6) : 1.0;
  const double t = static_cast<double>(++impl_->step_count);
  for (Parameter& p : impl_->parameters) {
    if (!p.gradient) continue;
    adamw(p.value, p.gradient, p.first_moment, p.second_moment, p.elements,
          static_cast<float>(options.learning_rate), static_cast<float>(options.beta1),
          static_cast<float>(options.beta2), static_cast<float>(options.epsilon),
          static_cast<float>(options.weight_decay), static_cast<float>(1 - std::pow(options.beta1, t)),
          static_cast<float>(1 - std::pow(options.beta2, t)), static_cast<float>(scale));
    std::memset(p.gradient, 0, p.elements * sizeof(float));
  }
  repack_trainable(impl_->network);
  return norm;
}

}  // namespace adjudge
