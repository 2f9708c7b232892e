// Passes over the tokens before the sweep, only where a rule asks: keep_ratio 9 bytes a token; high entropy a
// key of 4 bytes written and read 6 times; kl_cov 8 bytes a token twice and a key of 8 bytes written and read
// 10 times.
#include "cuda/policy_loss_selection.cuh"

#include <cmath>

namespace adjudge::cuda {
namespace {

using namespace rl;

constexpr std::uint64_t no_key = ~std::uint64_t{0};

// The tokens of the block, in strides of its threads: body(token).
template <typename Body>
SIMT_DEVICE void for_tokens_of_block(std::int64_t tokens, const Body& body) {
  const std::int64_t begin = simt::block() * keys_per_block;
  const std::int64_t end = begin + keys_per_block < tokens ? begin + keys_per_block : tokens;
  for (std::int64_t t = begin + simt::thread(); t < end; t += simt::threads()) body(t);
}

SIMT_KERNEL keep_kernel(LossPlan plan, double low, double high, std::int64_t tokens, std::uint8_t* kept) {
  for_tokens_of_block(tokens, [&](std::int64_t t) {
    const bool inside = counts(plan, t) && log_ratio_of(plan, t) >= low && log_ratio_of(plan, t) <= high;
    kept[t] = inside ? 1 : 0;
  });
}

// Keys of tokens that do not count are greater than all others. *counted: zeroed before.
SIMT_KERNEL entropy_keys_kernel(LossPlan plan, std::int64_t tokens, std::uint32_t* keys,
                                std::int32_t* counted) {
  std::int32_t count = 0;
  for_tokens_of_block(tokens, [&](std::int64_t t) {
    const bool in = counts(plan, t);
    keys[t] = in ? ordered_bits(plan.batch.entropies[t]) : ~0u;
    count += in ? 1 : 0;
  });
  count = block_sum(count);
  if (simt::thread() == 0) simt::atomic_add(counted, count);
}

// A place in the sorted entropies of counted tokens: interpolated between `below` and the next.
struct Place {
  double below;
  double above_share;
};

SIMT_DEVICE Place quantile_place(double quantile, std::int32_t counted) {
  const double place = counted > 0 ? (1 - quantile) * (counted - 1) : 0;
  return {floor(place), place - floor(place)};
}

SIMT_KERNEL entropy_rank_kernel(double quantile, const std::int32_t* counted, RadixState* state,
                                std::uint64_t* next_key, std::int32_t* taught) {
  for (int i = simt::thread(); i < radix_bins; i += simt::threads()) state->bins[i] = 0;
  if (simt::thread() != 0) return;
  state->key = 0;
  state->equal = 0;
  state->rank = static_cast<std::int32_t>(quantile_place(quantile, *counted).below);
  *next_key = no_key;
  *taught = 0;
}

// The least key above the one that was found.
SIMT_KERNEL next_key_kernel(const std::uint32_t* keys, std::int64_t tokens, const RadixState* state,
                            std::uint64_t* next_key) {
  std::uint64_t least = no_key;
  for_tokens_of_block(tokens, [&](std::int64_t t) {
    if (keys[t] > state->key && keys[t] < least) least = keys[t];
  });
  least = block_reduce(least, Smaller{});
  if (simt::thread() == 0) simt::atomic_min(next_key, least);
}

SIMT_KERNEL teach_kernel(double quantile, LossPlan plan, std::int64_t tokens, const RadixState* state,
                         const std::uint64_t* next_key, const std::int32_t* counted, std::uint8_t* teaches,
                         std::int32_t* taught) {
  const double below = of_ordered_bits(static_cast<std::uint32_t>(state->key));
  const bool last = *next_key >= ~0u;
  const double next =
      last || state->rank + 1 < state->equal ? below : of_ordered_bits(static_cast<std::uint32_t>(*next_key));
  const double threshold = below + quantile_place(quantile, *counted).above_share * (next - below);
  std::int32_t count = 0;
  for_tokens_of_block(tokens, [&](std::int64_t t) {
    const bool in = counts(plan, t) && plan.batch.entropies[t] >= threshold;
    teaches[t] = in ? 1 : 0;
    count += in ? 1 : 0;
  });
  count = block_sum(count);
  if (simt::thread() == 0) simt::atomic_add(taught, count);
}

SIMT_KERNEL zero_kernel(std::int32_t* count) {
  if (simt::thread() == 0) *count = 0;
}

SIMT_KERNEL covariance_sums_kernel(LossPlan plan, CovarianceMeans* parts) {
  CovarianceMeans own{0, 0, 0};
  for_rows_of_block(plan.range, [&](auto team, std::int64_t row) {
    const std::int64_t end = plan.batch.cu_seqlens[row + 1];
    for (std::int64_t t = plan.batch.cu_seqlens[row] + team.rank(); t < end; t += team.size()) {
      if (!counts(plan, t)) continue;
      own.tokens += 1;
      own.advantage += static_cast<double>(advantage_of(plan, row, t));
      own.log_prob += static_cast<double>(plan.batch.log_probs[t]);
    }
  });
  own = block_sum_fields(own);
  if (simt::thread() == 0) parts[simt::block()] = own;
}

// One block: the means, and the rank of the least covariance that is taken, the largest being of rank 0.
SIMT_KERNEL covariance_means_kernel(double share, const CovarianceMeans* parts, std::int64_t blocks,
                                    CovarianceMeans* means, RadixState* state) {
  for (int i = simt::thread(); i < radix_bins; i += simt::threads()) state->bins[i] = 0;
  CovarianceMeans sums{0, 0, 0};
  for (std::int64_t i = simt::thread(); i < blocks; i += simt::threads()) {
    sums.tokens += parts[i].tokens;
    sums.advantage += parts[i].advantage;
    sums.log_prob += parts[i].log_prob;
  }
  sums = block_sum_fields(sums);
  if (simt::thread() != 0) return;
  *means = {sums.tokens, sums.advantage / sums.tokens, sums.log_prob / sums.tokens};
  const double part = floor(share * sums.tokens);
  const double taken = part < 1 ? 1 : part > sums.tokens ? sums.tokens : part;
  state->key = 0;
  state->equal = 0;
  state->rank = static_cast<std::int32_t>(taken) - 1;
}

// The largest covariance has the least key.
SIMT_KERNEL covariance_keys_kernel(LossPlan plan, const CovarianceMeans* means, std::uint64_t* keys) {
  for_rows_of_block(plan.range, [&](auto team, std::int64_t row) {
    const std::int64_t end = plan.batch.cu_seqlens[row + 1];
    for (std::int64_t t = plan.batch.cu_seqlens[row] + team.rank(); t < end; t += team.size()) {
      keys[t] = no_key;
      if (!counts(plan, t)) continue;
      const double covariance =
          (advantage_of(plan, row, t) - means->advantage) * (plan.batch.log_probs[t] - means->log_prob);
      // Without the sign of a zero.
      keys[t] = ~ordered_bits(covariance + 0.0);
    }
  });
}

SIMT_KERNEL ties_kernel(const std::uint64_t* keys, std::int64_t tokens, const RadixState* state,
                        std::int32_t* ties) {
  std::int32_t count = 0;
  for_tokens_of_block(tokens, [&](std::int64_t t) { count += keys[t] == state->key ? 1 : 0; });
  count = block_sum(count);
  if (simt::thread() == 0) ties[simt::block()] = count;
}

// One thread: ties before each chunk of tokens.
SIMT_KERNEL ties_before_kernel(std::int64_t chunks, std::int32_t* ties) {
  if (simt::thread() != 0) return;
  std::int32_t before = 0;
  for (std::int64_t i = 0; i < chunks; ++i) {
    const std::int32_t own = ties[i];
    ties[i] = before;
    before += own;
  }
}

// Of equal covariances the lowest tokens.
SIMT_KERNEL single_out_kernel(const std::uint64_t* keys, std::int64_t tokens, const RadixState* state,
                              const std::int32_t* ties_before, std::uint8_t* selected) {
  const std::int64_t begin = simt::block() * keys_per_block;
  const std::int64_t end = begin + keys_per_block < tokens ? begin + keys_per_block : tokens;
  std::int32_t before = ties_before[simt::block()];
  for (std::int64_t first = begin; first < end; first += simt::threads()) {
    const std::int64_t t = first + simt::thread();
    const bool tie = t < end && keys[t] == state->key && keys[t] != no_key;
    const std::int32_t own = block_rank(tie, before);
    if (t < end) selected[t] = keys[t] < state->key || (tie && own <= state->rank) ? 1 : 0;
  }
}

}  // namespace

LossSelection::LossSelection(Enqueue& enqueue, const LossRule& rule, const LossBatch<float>& batch,
                             std::int64_t tokens, bool covariance)
    : enqueue_(enqueue), rule_(rule), tokens_(tokens), chunks_(blocks_of(tokens, keys_per_block)) {
  keeps_ = rule.keep_ratio_low > 0 || rule.keep_ratio_high < INFINITY;
  teaches_some_ = rule.top_entropy_quantile < 1 && batch.entropies;
  singles_out_ = covariance && rule.kind == LossKind::kl_cov;
  if (keeps_) kept_ = enqueue.take<std::uint8_t>(tokens);
  if (teaches_some_) {
    teaches_ = enqueue.take<std::uint8_t>(tokens);
    entropy_keys_ = enqueue.take<std::uint32_t>(tokens);
    counted_ = enqueue.take<std::int32_t>(1);
    taught_ = enqueue.take<std::int32_t>(1);
    next_key_ = enqueue.take<std::uint64_t>(1);
  }
  if (singles_out_) {
    selected_ = enqueue.take<std::uint8_t>(tokens);
    covariance_keys_ = enqueue.take<std::uint64_t>(tokens);
    covariance_parts_ = enqueue.take<CovarianceMeans>(static_cast<std::int64_t>(batch.rows));
    means_ = enqueue.take<CovarianceMeans>(1);
    ties_ = enqueue.take<std::int32_t>(chunks_);
  }
  if (teaches_some_ || singles_out_) state_ = enqueue.take<RadixState>(1);
}

void LossSelection::choose(LossPlan& plan) {
  if (keeps_) keep(plan);
  if (teaches_some_) teach(plan);
  if (singles_out_) single_out(plan);
}

void LossSelection::keep(LossPlan& plan) {
  enqueue_(ADJUDGE_NAMED(keep_kernel), chunks_, plan, std::log(rule_.keep_ratio_low),
           std::log(rule_.keep_ratio_high), tokens_, kept_);
  plan.batch.mask = kept_;
}

void LossSelection::teach(LossPlan& plan) {
  const double quantile = rule_.top_entropy_quantile;
  enqueue_(ADJUDGE_NAMED(zero_kernel), 1, counted_);
  enqueue_(ADJUDGE_NAMED(entropy_keys_kernel), chunks_, plan, tokens_, entropy_keys_, counted_);
  enqueue_(ADJUDGE_NAMED(entropy_rank_kernel), 1, quantile, counted_, state_, next_key_, taught_);
  enqueue_radix_select(enqueue_, entropy_keys_, tokens_, state_);
  enqueue_(ADJUDGE_NAMED(next_key_kernel), chunks_, entropy_keys_, tokens_, state_, next_key_);
  enqueue_(ADJUDGE_NAMED(teach_kernel), chunks_, quantile, plan, tokens_, state_, next_key_, counted_,
           teaches_, taught_);
  plan.teaches = teaches_;
}

void LossSelection::single_out(LossPlan& plan) {
  const std::int64_t blocks = blocks_of(plan.range);
  enqueue_(ADJUDGE_NAMED(covariance_sums_kernel), blocks, plan, covariance_parts_);
  enqueue_(ADJUDGE_NAMED(covariance_means_kernel), 1, rule_.covariance.share, covariance_parts_, blocks,
           means_, state_);
  enqueue_(ADJUDGE_NAMED(covariance_keys_kernel), blocks, plan, means_, covariance_keys_);
  enqueue_radix_select(enqueue_, covariance_keys_, tokens_, state_);
  enqueue_(ADJUDGE_NAMED(ties_kernel), chunks_, covariance_keys_, tokens_, state_, ties_);
  enqueue_(ADJUDGE_NAMED(ties_before_kernel), 1, chunks_, ties_);
  enqueue_(ADJUDGE_NAMED(single_out_kernel), chunks_, covariance_keys_, tokens_, state_, ties_, selected_);
  plan.selected = selected_;
}

}  // namespace adjudge::cuda
