#include "model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../core/error.h"
#include "../core/thread_pool.h"
#include "../cpu/math.h"
#include "state.h"

namespace adjudge {

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
  for (OutputHead& head : impl_->heads) head.pack();
}

size_t Model::bytes() const {
  size_t bytes = 0;
  for (const auto& block : impl_->memory) bytes += block.size() * sizeof(float);
  auto add = [&](const Matrix& matrix) {
    bytes += matrix.packed_forward.bytes() + matrix.packed_backward.bytes();
  };
  const Network& network = impl_->network;
  add(network.head());
  for (const OutputHead& head : impl_->heads) add(head.matrix);
  for (const Layer& layer : network.layers)
    for (const Linear* linear : {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down})
      for (const Matrix* matrix : {&linear->base, &linear->a, &linear->b}) add(*matrix);
  return bytes;
}

namespace {

// 1 where a row has a coefficient of any kind. Throws ARGUMENT_INVALID where one is not finite.
std::vector<uint8_t> wanted_rows(const float* log_prob_gradients, const float* entropy_gradients,
                                 std::span<const HeadGradients> heads, size_t tokens) {
  std::vector<uint8_t> wanted(tokens);
  const auto look = [&](const float* gradients) {
    for (size_t i = 0; gradients && i < tokens; ++i) {
      if (!std::isfinite(gradients[i]))
        throw Error{"ARGUMENT_INVALID",
                    "the gradient of completion token " + std::to_string(i) + " is not a finite number"};
      wanted[i] |= gradients[i] != 0.0f;
    }
  };
  look(log_prob_gradients);
  look(entropy_gradients);
  for (const HeadGradients& head : heads) {
    look(head.values);
    look(head.log_sum_exps);
  }
  return wanted;
}

// Adds a head's share to the gradient of the normed hidden states of some rows. outputs: scratch.
void head_backward(const OutputHead& head, const HeadGradients& gradients, std::span<const HeadRow> rows,
                   const float* normed, std::vector<float>& outputs, float* d_normed) {
  const int64_t count = static_cast<int64_t>(rows.size());
  std::vector<int32_t> tokens;
  for (const HeadRow& row : rows) tokens.push_back(row.target);
  const auto gathered = [&](const float* from) {
    std::vector<float> own;
    for (const HeadRow& row : rows) own.push_back(from[row.output]);
    return own;
  };
  float* below = head.stop_gradient ? nullptr : d_normed;
  if (gradients.values)
    head.values_backward(count, normed, tokens.data(), gathered(gradients.values).data(), below);
  if (!gradients.log_sum_exps) return;
  outputs.resize(count * head.matrix.out);
  head.all(count, normed, outputs.data());
  head.log_sum_exp_backward(count, normed, outputs.data(), gathered(gradients.log_sum_exps).data(), below);
}

}  // namespace

void Model::backward(const GroupedBatch& batch, const float* log_prob_gradients,
                     const float* entropy_gradients, float* log_probs, std::span<const HeadGradients> heads) {
  check_batch(batch, config());
  Network& network = impl_->network;
  const int64_t width = network.config.hidden, vocabulary = network.config.vocabulary;
  const size_t tokens = batch.completion_tokens.size();
  const std::vector<uint8_t> wanted = wanted_rows(log_prob_gradients, entropy_gradients, heads, tokens);
  if (log_probs) std::fill_n(log_probs, tokens, std::numeric_limits<float>::quiet_NaN());
  std::vector<int64_t> lengths;
  for (size_t c = 0; c < batch.completion_group.size(); ++c) {
    int64_t length = batch.completion_offsets[c + 1] - batch.completion_offsets[c];
    while (length && !wanted[batch.completion_offsets[c] + length - 1]) --length;
    lengths.push_back(length);
  }
  const bool open_head = std::any_of(heads.begin(), heads.end(), [&](const HeadGradients& gradients) {
    return !impl_->head_named(gradients.head).stop_gradient;
  });
  const bool learns = std::any_of(impl_->parameters.begin(), impl_->parameters.end(),
                                  [](const Parameter& p) { return p.gradient != nullptr; });
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
    bool below = open_head;  // whether anything below the heads learns from this micro-batch
    const int64_t total = static_cast<int64_t>(part.head.size());
    for (int64_t first = 0; first < total; first += head_chunk) {
      const int64_t count = std::min(head_chunk, total - first);
      gather_hidden(part, first, count, width, x, hidden);
      normed.resize(count * width);
      inverse_rms.resize(count);
      rms_norm(hidden.data(), network.final_norm.value, network.config.norm_epsilon, count, width,
               normed.data(), inverse_rms.data());
      d_normed.assign(count * width, 0.0f);
      const bool policy = std::any_of(&part.head[first], &part.head[first] + count, [&](const HeadRow& row) {
        return log_prob_gradients[row.output] != 0.0f ||
               (entropy_gradients && entropy_gradients[row.output] != 0.0f);
      });
      below |= policy;
      if (policy) {
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
        head.backward_input(count, logits.data(), d_normed.data(), Store::assign);
        if (head.gradient) {
          packed.pack_depths(head.dtype, normed.data(), count, width);
          head.accumulate(logits.data(), packed);
        }
      }
      for (const HeadGradients& gradients : heads)
        head_backward(impl_->head_named(gradients.head), gradients,
                      {&part.head[first], static_cast<size_t>(count)}, normed.data(), logits,
                      d_normed.data());
      d_hidden.assign(count * width, 0.0f);
      rms_norm_backward(hidden.data(), network.final_norm.value, inverse_rms.data(), d_normed.data(), count,
                        width, d_hidden.data(), network.final_norm.gradient);
      // Completions of a group share the prompt's last row, so rows are added up in order.
      for (int64_t i = 0; i < count; ++i) {
        float* target = &dx[part.head[first + i].row * width];
        for (int64_t j = 0; j < width; ++j) target[j] += d_hidden[i * width + j];
      }
    }
    if (below && learns) network.backward(part.rows, kept, dx.data());
  }
}

void Model::zero_gradients() {
  std::lock_guard lock(impl_->mutex);
  for (std::vector<Parameter>* all : {&impl_->parameters, &impl_->head_parameters})
    for (Parameter& p : *all)
      if (p.gradient) std::memset(p.gradient, 0, p.elements * sizeof(float));
}

double adamw_step(std::span<Parameter* const> parameters, const AdamwOptions& options, int64_t count) {
  double squares = 0;
  for (const Parameter* p : parameters) squares += sum_of_squares(p->gradient, p->elements);
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm))
    throw Error{
        "GRADIENT_NOT_FINITE",
        "the gradient's norm is not finite; the weights were left as they are. Lower the learning rate"};
  const double scale =
      options.clip_norm > 0 && norm > options.clip_norm ? options.clip_norm / (norm + 1e-6) : 1.0;
  const double t = static_cast<double>(count);
  for (Parameter* p : parameters) {
    adamw(p->value, p->gradient, p->first_moment, p->second_moment, p->elements,
          static_cast<float>(options.learning_rate), static_cast<float>(options.beta1),
          static_cast<float>(options.beta2), static_cast<float>(options.epsilon),
          static_cast<float>(options.weight_decay), static_cast<float>(1 - std::pow(options.beta1, t)),
          static_cast<float>(1 - std::pow(options.beta2, t)), static_cast<float>(scale));
    std::memset(p->gradient, 0, p->elements * sizeof(float));
  }
  return norm;
}

double Model::step(const AdamwOptions& options) {
  std::lock_guard lock(impl_->mutex);
  std::vector<Parameter*> trained;
  for (Parameter& p : impl_->parameters)
    if (p.gradient) trained.push_back(&p);
  if (trained.empty())
    throw Error{"NOT_TRAINABLE", "the model was loaded without gradients; load it with trainable: true"};
  const double norm = adamw_step(trained, options, impl_->step_count + 1);
  ++impl_->step_count;
  repack_trainable(impl_->network);
  return norm;
}

}  // namespace adjudge
