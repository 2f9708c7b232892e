// Log-probs, entropies and heads' values of given tokens; logits of a sequence.
#include <cmath>
#include <cstring>

#include "../core/error.h"
#include "../core/thread_pool.h"
#include "../cpu/math.h"
#include "state.h"

namespace adjudge {

void gather_hidden(const MicroBatch& part, int64_t first, int64_t count, int64_t width,
                   const std::vector<float>& x, std::vector<float>& hidden) {
  hidden.resize(count * width);
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(&hidden[i * width], &x[part.head[first + i].row * width], width * sizeof(float));
}

namespace {

// Of one chunk of rows: hidden [count, width], before the final norm.
class Scorer {
 public:
  Scorer(Model::Impl& state, float inverse_temperature, const Scores& out)
      : network_(state.network), inverse_temperature_(inverse_temperature), out_(out) {
    for (const HeadScores& scores : out.heads) heads_.push_back(&state.head_named(scores.head));
  }

  void chunk(std::span<const HeadRow> rows, const float* hidden) {
    const int64_t count = static_cast<int64_t>(rows.size());
    const std::vector<float>& normed = network_.normalize(count, hidden);
    if (out_.log_probs || out_.entropies || out_.sum_pi_squared) policy(rows, normed.data());
    for (size_t h = 0; h < heads_.size(); ++h) head(rows, normed.data(), *heads_[h], out_.heads[h]);
  }

 private:
  void policy(std::span<const HeadRow> rows, const float* normed) {
    const int64_t count = static_cast<int64_t>(rows.size()), vocabulary = network_.config.vocabulary;
    logits_.resize(count * vocabulary);
    network_.head().forward(count, normed, logits_.data(), Store::assign);
    parallel_for(count, [&](int64_t i, int) {
      const HeadRow& row = rows[i];
      const float* z = &logits_[i * vocabulary];
      const float lse = log_sum_exp(z, vocabulary, inverse_temperature_,
                                    out_.entropies ? &out_.entropies[row.output] : nullptr);
      if (out_.log_probs) out_.log_probs[row.output] = z[row.target] * inverse_temperature_ - lse;
      if (out_.sum_pi_squared) {
        // sum of exp(2 z / T - 2 lse)
        const float doubled = log_sum_exp(z, vocabulary, 2 * inverse_temperature_, nullptr);
        out_.sum_pi_squared[row.output] = std::exp(doubled - 2 * lse);
      }
    });
  }

  void head(std::span<const HeadRow> rows, const float* normed, const OutputHead& head,
            const HeadScores& scores) {
    const int64_t count = static_cast<int64_t>(rows.size());
    if (scores.values) {
      std::vector<int32_t> tokens;
      for (const HeadRow& row : rows) tokens.push_back(row.target);
      std::vector<float> values(count);
      head.values(count, normed, tokens.data(), values.data());
      for (int64_t i = 0; i < count; ++i) scores.values[rows[i].output] = values[i];
    }
    if (!scores.log_sum_exps) return;
    logits_.resize(count * head.matrix.out);
    head.all(count, normed, logits_.data());
    parallel_for(count, [&](int64_t i, int) {
      scores.log_sum_exps[rows[i].output] =
          log_sum_exp(&logits_[i * head.matrix.out], head.matrix.out, 1.0f, nullptr);
    });
  }

  Network& network_;
  const float inverse_temperature_;
  const Scores& out_;
  std::vector<const OutputHead*> heads_;
  std::vector<float> logits_;
};

}  // namespace

std::shared_ptr<const Prefix> Model::prefix(std::span<const int32_t> tokens, bool adapter) {
  if (tokens.empty()) throw Error{"ARGUMENT_INVALID", "a prefix needs at least one token"};
  check_tokens(tokens, config());
  if (static_cast<int64_t>(tokens.size()) >= config().max_positions)
    throw Error{"CONTEXT_EXCEEDED", "a prefix of " + std::to_string(tokens.size()) +
                                        " tokens leaves no room in the model's context of " +
                                        std::to_string(config().max_positions)};
  auto result = std::make_shared<Prefix>();
  result->tokens.assign(tokens.begin(), tokens.end());
  result->adapter = adapter;
  result->model = impl_.get();
  Rows rows;
  rows.append(tokens, 0, 0);
  rows.end_root();
  std::lock_guard lock(impl_->mutex);
  const int64_t floats = rows.count() * impl_->network.attention.kv_width();
  impl_->network.forward(rows, adapter, nullptr, [&](int64_t, const float* k, const float* v) {
    result->keys.insert(result->keys.end(), k, k + floats);
    result->values.insert(result->values.end(), v, v + floats);
  });
  return result;
}

void Model::score(const GroupedBatch& batch, bool adapter, const Scores& out, const Prefix* prefix) {
  check_prefix(prefix, *impl_, adapter);
  check_batch(batch, config(), prefix ? prefix->length() : 0);
  Network& network = impl_->network;
  std::vector<int64_t> lengths;
  for (size_t c = 0; c < batch.completion_group.size(); ++c)
    lengths.push_back(batch.completion_offsets[c + 1] - batch.completion_offsets[c]);
  Scorer scorer(*impl_, 1.0f / batch.temperature, out);
  std::vector<float> hidden;
  for (const MicroBatch& part : plan_micro_batches(batch, lengths, {}, row_budget, prefix)) {
    std::lock_guard lock(impl_->mutex);
    const std::vector<float>& x = network.forward(part.rows, adapter, nullptr);
    const int64_t total = static_cast<int64_t>(part.head.size());
    for (int64_t first = 0; first < total; first += head_chunk) {
      const int64_t count = std::min(head_chunk, total - first);
      gather_hidden(part, first, count, network.config.hidden, x, hidden);
      scorer.chunk({&part.head[first], static_cast<size_t>(count)}, hidden.data());
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

}  // namespace adjudge
