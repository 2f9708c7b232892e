#include "native/cpu/policy_loss.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/cpu/policy_loss_chunk.h"

namespace adjudge {
namespace {

using namespace rl;

// The rows of chunk k are those that start in its range of tokens, so that neither the chunks nor the sums
// depend on the threads.
constexpr std::int64_t chunk_tokens = 16384;

// Outputs beyond what the caches hold are better written past them.
constexpr std::size_t streamed_tokens = std::size_t{8} << 20;

class Batch {
 public:
  explicit Batch(LossPlan& plan) : plan_(plan), rows_(static_cast<std::int64_t>(plan.batch.rows)) {
    const std::int64_t tokens = rows_ > 0 ? plan.batch.cu_seqlens[rows_] : 0;
    chunks_ = rows_ > 0 ? tokens / chunk_tokens + 1 : 0;
    plan.stream = static_cast<std::size_t>(tokens) >= streamed_tokens;
  }

  LossValue run() {
    const Counts own = count();
    plan_.set_counts(own);
    std::vector<LossPartial> partials(static_cast<std::size_t>(chunks_));
    each_chunk([&](std::int64_t chunk, std::int64_t begin, std::int64_t end) {
      partials[static_cast<std::size_t>(chunk)] = loss_of_rows(plan_, begin, end);
    });
    LossPartial total;
    for (const LossPartial& partial : partials) total.add(partial);
    return finish(total, own);
  }

 private:
  template <typename Body>
  void each_chunk(const Body& body) const {
    const auto range = [&](std::int64_t chunk) { body(chunk, first_row(chunk), first_row(chunk + 1)); };
    if (chunks_ == 1) return body(0, 0, rows_);
    if (chunks_ > 1) parallel_for(chunks_, [&](std::int64_t chunk, int) { range(chunk); });
  }

  std::int64_t first_row(std::int64_t chunk) const {
    if (chunk == chunks_) return rows_;
    const std::int32_t* starts = plan_.batch.cu_seqlens;
    return std::lower_bound(starts, starts + rows_, chunk * chunk_tokens) - starts;
  }

  Counts count() {
    if (plan_.batch.mask) row_counts_.resize(static_cast<std::size_t>(rows_));
    std::vector<Counts> parts(static_cast<std::size_t>(chunks_));
    each_chunk([&](std::int64_t chunk, std::int64_t begin, std::int64_t end) {
      Counts counts;
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t counted = plan_.counted_tokens(row);
        if (plan_.batch.mask) row_counts_[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(counted);
        const auto tokens = static_cast<double>(counted);
        counts.tokens += tokens;
        counts.sequences += tokens > 0 || plan_.rule.aggregation.count_empty_rows ? 1 : 0;
      }
      parts[static_cast<std::size_t>(chunk)] = counts;
    });
    plan_.row_counts = std::move(row_counts_);
    Counts total;
    for (const Counts& part : parts) {
      total.tokens += part.tokens;
      total.sequences += part.sequences;
    }
    return total;
  }

  LossValue finish(const LossPartial& total, const Counts& own) const {
    const double per_token = inverse(own.tokens);
    const bool by_token = plan_.rule.ratio == Ratio::token;
    const double per_clip_unit = by_token ? per_token : inverse(static_cast<double>(rows_));
    LossValue result;
    LossMetrics& metrics = result.metrics;
    metrics.tokens = own.tokens;
    metrics.sequences = own.sequences;
    metrics.clip_low = total.clip_low * per_clip_unit;
    metrics.clip_high = total.clip_high * per_clip_unit;
    metrics.clip_dual = total.clip_dual * per_clip_unit;
    metrics.clip_low_min = total.any_row ? total.clip_low_min : 0;
    metrics.clip_high_max = total.clip_high_max;
    metrics.clip_token = total.clip_token * per_token;
    metrics.clip_bound = static_cast<double>(total.sums.bound) * per_token;
    metrics.selected = static_cast<double>(total.sums.selected) * per_token;
    metrics.phi = total.phi * inverse(total.phi_count);
    metrics.policy_loss = total.sums.loss;
    metrics.kl = total.sums.kl * per_token;
    metrics.entropy = total.sums.entropy * per_token;
    metrics.ratio_mean = total.sums.ratio * per_token;
    metrics.ratio_max = total.sums.ratio_max;
    metrics.old_kl = total.sums.old_kl * per_token;
    metrics.old_kl_bounded = total.sums.old_kl_bounded * per_token;
    metrics.old_kl_absolute = total.sums.old_kl_absolute * per_token;
    result.loss = total.sums.loss - total.sums.bonus;
    return result;
  }

  LossPlan& plan_;
  std::int64_t rows_;
  std::int64_t chunks_;
  std::vector<std::int32_t> row_counts_;
};

// A mean of the bonus is over the tokens that teach only: counted tokens per such token.
double bonus_share(const LossPlan& plan, double counted) {
  if (!plan.teaches || !plan.rule.entropy_token_mean) return 1;
  const std::int64_t tokens = plan.batch.rows > 0 ? plan.batch.cu_seqlens[plan.batch.rows] : 0;
  return counted * inverse(static_cast<double>(plan.kernels.count_bytes(plan.teaches, tokens)));
}

}  // namespace

void LossPlan::set_counts(const Counts& own) {
  counts = own;
  if (batch.batch_tokens >= 0) counts.tokens = batch.batch_tokens;
  if (batch.batch_sequences >= 0) counts.sequences = batch.batch_sequences;
  const double each = rule.entropy_coefficient * inverse(counts.tokens) * bonus_share(*this, own.tokens);
  bonus_weight = static_cast<float>(each);
}

LossValue policy_loss(const LossRule& rule, const LossBatch<float>& batch, const std::uint8_t* teaches,
                      const std::uint8_t* selected, float* log_prob_gradients, float* entropy_gradients) {
  if (entropy_gradients && !batch.entropies && batch.rows > 0) {
    std::fill_n(entropy_gradients, batch.cu_seqlens[batch.rows], 0.0F);
  }
  LossPlan plan(rule, batch, teaches, selected, log_prob_gradients, entropy_gradients);
  return Batch(plan).run();
}

}  // namespace adjudge
