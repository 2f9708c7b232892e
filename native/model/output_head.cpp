#include "output_head.h"

#include <cmath>

#include "../core/error.h"
#include "../core/thread_pool.h"
#include "../cpu/math.h"
#include "state.h"

namespace adjudge {

void OutputHead::pack() {
  if (matrix.out > 1) matrix.pack();
}

void OutputHead::values(int64_t rows, const float* hidden, const int32_t* tokens, float* out) const {
  const int64_t width = matrix.in;
  parallel_for(rows, [&](int64_t i, int) {
    const int64_t output = output_of(tokens[i]);
    const float* weight = matrix.value + output * width;
    double sum = bias[output];
    for (int64_t j = 0; j < width; ++j) sum += static_cast<double>(hidden[i * width + j]) * weight[j];
    out[i] = static_cast<float>(sum);
  });
}

void OutputHead::all(int64_t rows, const float* hidden, float* out) const {
  matrix.forward(rows, hidden, out, Store::assign);
  parallel_for(rows, [&](int64_t i, int) {
    for (int64_t j = 0; j < matrix.out; ++j) out[i * matrix.out + j] += bias[j];
  });
}

void OutputHead::values_backward(int64_t rows, const float* hidden, const int32_t* tokens,
                                 const float* gradients, float* d_hidden) const {
  const int64_t width = matrix.in;
  for (int64_t i = 0; i < rows; ++i) {
    const float gradient = gradients[i];
    if (gradient == 0.0f) continue;
    const int64_t output = output_of(tokens[i]);
    if (matrix.gradient) {
      float* target = matrix.gradient + output * width;
      for (int64_t j = 0; j < width; ++j) target[j] += gradient * hidden[i * width + j];
      bias_gradient[output] += gradient;
    }
    if (!d_hidden) continue;
    const float* weight = matrix.value + output * width;
    for (int64_t j = 0; j < width; ++j) d_hidden[i * width + j] += gradient * weight[j];
  }
}

void OutputHead::log_sum_exp_backward(int64_t rows, const float* hidden, float* outputs,
                                      const float* gradients, float* d_hidden) const {
  const int64_t count = matrix.out;
  parallel_for(rows, [&](int64_t i, int) {
    float* row = outputs + i * count;
    const float lse = log_sum_exp(row, count, 1.0f, nullptr);
    // -g · (onehot - p) of the first output, whose onehot is then taken out again.
    log_prob_gradient(row, count, 1.0f, lse, 0.0f, 0, -gradients[i], 0.0f);
    row[0] += gradients[i];
  });
  if (matrix.gradient) {
    PackedMatrix packed;
    packed.pack_depths(matrix.dtype, hidden, rows, matrix.in);
    matrix.accumulate(outputs, packed);
    parallel_for(count, [&](int64_t j, int) {
      for (int64_t i = 0; i < rows; ++i) bias_gradient[j] += outputs[i * count + j];
    });
  }
  if (d_hidden) matrix.backward_input(rows, outputs, d_hidden, Store::add);
}

namespace {

[[noreturn]] void unknown_head(const std::string& name) {
  throw Error{"ARGUMENT_INVALID", "the model has no head named " + name + "; add it first"};
}

}  // namespace

OutputHead& Model::Impl::head_named(const std::string& name) {
  for (OutputHead& head : heads)
    if (head.name == name) return head;
  unknown_head(name);
}

void Model::add_head(const OutputHeadOptions& options) {
  std::lock_guard lock(impl_->mutex);
  for (const OutputHead& head : impl_->heads)
    if (head.name == options.name)
      throw Error{"ARGUMENT_INVALID", "the model has a head named " + options.name + " already"};
  const ModelConfig& config = impl_->network.config;
  OutputHead head;
  head.name = options.name;
  head.stop_gradient = options.stop_gradient;
  head.matrix.out = options.per_action ? config.vocabulary : 1;
  head.matrix.in = config.hidden;
  // A single output is cheap, and a value wants its digits.
  head.matrix.dtype = options.per_action ? impl_->network.head().dtype : Dtype::float32;
  const Parameter weight = make_head_parameter(*impl_, "heads." + head.name + ".weight",
                                               {head.matrix.out, config.hidden}, options.trainable);
  const Parameter bias =
      make_head_parameter(*impl_, "heads." + head.name + ".bias", {head.matrix.out}, options.trainable);
  head.matrix.value = weight.value;
  head.matrix.gradient = weight.gradient;
  head.bias = bias.value;
  head.bias_gradient = bias.gradient;
  if (options.spread > 0)
    for (int64_t i = 0; i < weight.elements; ++i)
      weight.value[i] = options.spread * (2.0f * counted_uniform(options.seed, i + 1) - 1.0f);
  head.pack();
  impl_->heads.push_back(std::move(head));
}

std::span<Parameter> Model::head_parameters() { return impl_->head_parameters; }

int64_t Model::head_step_count(const std::string& name) const { return impl_->head_named(name).step_count; }
void Model::set_head_step_count(const std::string& name, int64_t count) {
  impl_->head_named(name).step_count = count;
}

std::vector<std::string> Model::head_names() const {
  std::vector<std::string> names;
  for (const OutputHead& head : impl_->heads) names.push_back(head.name);
  return names;
}

double Model::step_head(const std::string& name, const AdamwOptions& options) {
  std::lock_guard lock(impl_->mutex);
  OutputHead& head = impl_->head_named(name);
  std::vector<Parameter*> own;
  for (Parameter& p : impl_->head_parameters)
    if (p.gradient && (p.name == "heads." + name + ".weight" || p.name == "heads." + name + ".bias"))
      own.push_back(&p);
  if (own.empty()) throw Error{"NOT_TRAINABLE", "the head " + name + " was added without gradients"};
  const double norm = adamw_step(own, options, head.step_count + 1);
  ++head.step_count;
  head.pack();
  return norm;
}

void Model::blend_head(const std::string& target, const std::string& source, double rate) {
  std::lock_guard lock(impl_->mutex);
  OutputHead& to = impl_->head_named(target);
  const OutputHead& from = impl_->head_named(source);
  if (to.matrix.out != from.matrix.out)
    throw Error{"ARGUMENT_INVALID", "the heads " + target + " and " + source + " differ in their outputs"};
  const auto blend = [rate](float* into, const float* value, int64_t count) {
    for (int64_t i = 0; i < count; ++i)
      into[i] =
          static_cast<float>(static_cast<double>(into[i]) + rate * (static_cast<double>(value[i]) - into[i]));
  };
  blend(to.matrix.value, from.matrix.value, to.matrix.out * to.matrix.in);
  blend(to.bias, from.bias, to.matrix.out);
  to.pack();
}

}  // namespace adjudge
