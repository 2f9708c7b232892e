#include "native/cpu/policy_loss_chunk.h"

#include <cmath>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "native/rules/loss_terms.h"

namespace adjudge {
namespace {

using namespace rl;

// What was written past the caches is seen by other threads from here on.
void streams_done() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// What a row brings to each of its tokens, and what its tokens bring to it.
struct Row {
  std::int64_t index = 0;
  std::int64_t counted = 0;
  float weight = 0;
  float ratio = 1;
  float own_slope = 0;
  double slope = 0;  // d ratio / d (sum of the row's log-probs), joint gradient
  float drifted = 0;
  float phi_positive = 1;
  float phi_negative = 1;
  float mean = 1;
  float mean_slope = 0;
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::int64_t dual = 0;
  double shared = 0;  // derivative with respect to the row's ratio
};

// Gathers tokens of consecutive rows into blocks of one sweep each; values of rows are repeated for the
// tokens of a block, so that vectors may span rows.
class Chunk {
 public:
  explicit Chunk(const LossPlan& plan) : plan_(plan), batch_(plan.batch) {}

  LossPartial run(std::int64_t begin, std::int64_t end) {
    next_ = batch_.cu_seqlens[begin];
    start_block();
    prepare_constant_arrays();
    for (std::int64_t row = begin; row < end; ++row) add_row(row);
    flush();
    if (batch_.advantages_per_token) partial_.phi += partial_.sums.phi;
    return partial_;
  }

 private:
  struct Segment {
    Row row;
    std::int64_t begin;
    std::int64_t end;
    bool last;  // the row ends here
  };

  void start_block() {
    block_begin_ = next_;
    filled_ = 0;
    segments_ = 0;
    // The first block ends where the next one starts on a whole cache line.
    const auto address = reinterpret_cast<std::uintptr_t>(plan_.gradients + block_begin_) / sizeof(float);
    capacity_ = loss_block_tokens - (plan_.stream ? static_cast<std::int64_t>(address % 16) : 0);
  }

  void prepare_constant_arrays() {
    if (!plan_.weighs_by_row) {
      std::fill_n(weights_, loss_block_tokens,
                  static_cast<float>(row_weight(plan_.rule.aggregation, plan_.counts, 1)));
    }
    if (!plan_.bonus_by_row) std::fill_n(bonus_weights_, loss_block_tokens, plan_.bonus_weight);
  }

  // Tokens that do not count have no part in anything: a row without counted tokens only needs finite
  // numbers.
  Row facts_of(std::int64_t index) const {
    const std::int64_t begin = batch_.cu_seqlens[index];
    const std::int64_t length = batch_.cu_seqlens[index + 1] - begin;
    Row row;
    row.index = index;
    row.counted = plan_.counted_tokens(index);
    const auto n = static_cast<double>(row.counted);
    const double weight = row_weight(plan_.rule.aggregation, plan_.counts, n);
    row.weight = static_cast<float>(weight);
    if (!plan_.sums_rows) return row;
    const auto at = [&](const auto* values) { return values ? values + begin : nullptr; };
    RowSums sums;
    plan_.kernels.sum_row(plan_.constants,
                          {length, at(batch_.log_probs), at(batch_.old_log_probs),
                           at(batch_.rollout_log_probs), at(batch_.importance_weights), at(batch_.mask),
                           at(plan_.teaches), batch_.advantages_per_token ? at(batch_.advantages) : nullptr,
                           batch_.advantages_per_token ? 0 : batch_.advantages[index], plan_.drift,
                           plan_.rule.gamma_weight.masked_importance},
                          sums);
    if (plan_.drift) row.drifted = sums.drift * inverse(n) > plan_.rule.off_policy_threshold ? 1.0F : 0.0F;
    if (!plan_.by_token) set_ratio(row, sums, n);
    if (plan_.rule.kind == LossKind::vespo) set_phi(row, sums);
    if (plan_.rule.kind == LossKind::gmpo) set_mean(row, sums, n, weight);
    return row;
  }

  void set_ratio(Row& row, const RowSums& sums, double n) const {
    const LossRule& rule = plan_.rule;
    const bool mean = rule.ratio == Ratio::sequence;
    const double log_ratio = mean ? sums.change * inverse(n) : sums.change;
    const auto [ratio, inside] = row_ratio(rule, log_ratio);
    row.ratio = static_cast<float>(ratio);
    row.own_slope = inside && !plan_.joint ? row.ratio : 0;
    if (inside) row.slope = mean ? ratio * inverse(n) : ratio;
  }

  // Bounds of the log weight and floor of the rate: reference/loss_weighted.h.
  void set_phi(Row& row, const RowSums& sums) const {
    const GammaWeight& gamma = plan_.rule.gamma_weight;
    const double log_weight = std::min(std::max(sums.log_weight + sums.log_importance, std::log(1e-8)), 20.0);
    const auto phi = [&](double shape, double rate) {
      const double positive_rate = std::max(rate, 1e-4);
      return static_cast<float>(
          std::exp(positive_rate + shape * log_weight - positive_rate * std::exp(log_weight)));
    };
    row.phi_positive = phi(gamma.shape_positive, gamma.rate_positive);
    row.phi_negative = phi(gamma.shape_negative, gamma.rate_negative);
  }

  void set_mean(Row& row, const RowSums& sums, double n, double weight) const {
    const double epsilon = plan_.rule.aggregation.token_epsilon;
    const double divisor = sums.taught > 0 ? sums.taught + epsilon : 1;
    const double log_mean = sums.held / divisor + (n > 0 ? sums.log_importance / (n + epsilon) : 0);
    const double mean = std::exp(std::min(log_mean, double{single_overflow_limit}));
    const double advantage = sums.advantage_positive + (row.drifted > 0 ? 0 : sums.advantage_negative);
    row.mean = static_cast<float>(mean);
    row.mean_slope = static_cast<float>(-advantage * mean * weight / divisor);
  }

  // A row without counted tokens, where such rows count, has the loss of a ratio of 1.
  void empty_row(const Row& row) {
    const LossRule& rule = plan_.rule;
    if (batch_.advantages_per_token || !rule.aggregation.count_empty_rows) return;
    const float advantage = batch_.advantages[row.index];
    Row one;
    set_phi(one, {});
    const float phi = advantage < 0 ? one.phi_negative : one.phi_positive;
    if (rule.kind == LossKind::vespo) {
      partial_.phi += static_cast<double>(phi);
      ++partial_.phi_count;
    }
    partial_.sums.loss += loss_of_empty_row(plan_, row.index, phi);
  }

  void add_row(std::int64_t index) {
    Row row = facts_of(index);
    if (row.counted == 0) empty_row(row);
    const std::int64_t end = batch_.cu_seqlens[index + 1];
    if (next_ == end) return finish_row(row);
    while (next_ < end) {
      if (filled_ == capacity_ || segments_ == max_segments) flush();
      const std::int64_t part = std::min(end - next_, capacity_ - filled_);
      repeat(row, end - next_);
      segments_list_[segments_++] = {row, filled_, filled_ + part, next_ + part == end};
      filled_ += part;
      next_ += part;
    }
  }

  // Writes a row's values for the rest of the block; a row that fills whole blocks writes them once.
  void repeat(const Row& row, std::int64_t left) {
    if (repeated_row_ == row.index) return;
    const bool whole = filled_ == 0 && left >= loss_block_tokens;
    const std::int64_t count = whole ? loss_block_tokens : std::min(left, capacity_ - filled_);
    const auto put = [&](float* array, float value) { std::fill_n(array + filled_, count, value); };
    if (!batch_.advantages_per_token) put(advantages_, batch_.advantages[row.index]);
    if (plan_.weighs_by_row) put(weights_, row.weight);
    if (batch_.entropies && plan_.bonus_by_row) {
      put(bonus_weights_, static_cast<float>(plan_.rule.entropy_coefficient) * row.weight);
    }
    if (!plan_.by_token) {
      put(ratios_, row.ratio);
      put(own_slopes_, row.own_slope);
    }
    if (plan_.drift) put(drifted_, row.drifted);
    if (plan_.rule.kind == LossKind::vespo) {
      put(phi_positive_, row.phi_positive);
      put(phi_negative_, row.phi_negative);
    }
    if (plan_.rule.kind == LossKind::gmpo) {
      put(means_, row.mean);
      put(mean_slopes_, row.mean_slope);
    }
    repeated_row_ = whole ? row.index : -1;
  }

  void flush() {
    if (filled_ > 0) {
      const bool joint = plan_.joint;
      const auto at = [&](auto* values) { return values ? values + block_begin_ : nullptr; };
      LossBlock block = {};
      block.count = filled_;
      block.log_probs = at(batch_.log_probs);
      block.old_log_probs = at(batch_.old_log_probs);
      block.reference_log_probs = at(batch_.reference_log_probs);
      block.entropies = at(batch_.entropies);
      block.importance_weights = at(batch_.importance_weights);
      block.mask = at(batch_.mask);
      block.teaches = at(plan_.teaches);
      block.selected = at(plan_.selected);
      block.advantages = batch_.advantages_per_token ? at(batch_.advantages) : advantages_;
      block.weights = weights_;
      block.bonus_weights = bonus_weights_;
      block.ratios = plan_.by_token ? nullptr : ratios_;
      block.own_slopes = own_slopes_;
      block.drifted = plan_.drift ? drifted_ : nullptr;
      block.phi_positive = phi_positive_;
      block.phi_negative = phi_negative_;
      block.means = means_;
      block.mean_slopes = mean_slopes_;
      block.gradients = at(plan_.gradients);
      block.entropy_gradients = at(plan_.entropy_gradients);
      block.row_slopes = joint ? row_slopes_ : nullptr;
      block.low = low_;
      block.high = high_;
      block.dual = dual_;
      block.stream = plan_.stream && !joint;
      plan_.kernels.sweep[static_cast<int>(plan_.rule.kind)](plan_.constants, block, partial_.sums);
      gather();
    }
    start_block();
  }

  // What the tokens of the block bring to their rows; a row that goes on takes it along.
  void gather() {
    for (std::int64_t s = 0; s < segments_; ++s) {
      Segment& segment = segments_list_[s];
      Row& row = segment.row;
      if (carried_.index == row.index && carrying_) row = carried_;
      carrying_ = false;
      const auto bits = [&](const std::uint8_t* from) {
        return plan_.kernels.count_bits(from, segment.begin, segment.end);
      };
      row.low += bits(low_);
      row.high += bits(high_);
      row.dual += bits(dual_);
      if (plan_.joint) {
        row.shared += plan_.kernels.sum(row_slopes_ + segment.begin, segment.end - segment.begin);
      }
      if (segment.last) {
        finish_row(row);
      } else {
        carried_ = row;
        carrying_ = true;
      }
    }
  }

  void finish_row(const Row& row) {
    partial_.note_clips(plan_.by_token, row.counted, row.low, row.high, row.dual);
    if (row.counted > 0) {
      if (plan_.rule.kind == LossKind::vespo && !batch_.advantages_per_token) {
        const bool falls = batch_.advantages[row.index] < 0;
        partial_.phi += static_cast<double>(falls ? row.phi_negative : row.phi_positive);
      }
      partial_.phi_count += batch_.advantages_per_token ? static_cast<double>(row.counted) : 1;
    }
    if (row.shared * row.slope == 0) return;
    const std::int64_t begin = batch_.cu_seqlens[row.index];
    plan_.kernels.add_counted(plan_.gradients + begin, batch_.mask ? batch_.mask + begin : nullptr,
                              batch_.cu_seqlens[row.index + 1] - begin,
                              static_cast<float>(row.shared * row.slope));
  }

  static constexpr std::int64_t max_segments = 64;

  const LossPlan& plan_;
  const LossBatch<float>& batch_;
  LossPartial partial_;
  std::int64_t next_ = 0;  // token
  std::int64_t block_begin_ = 0;
  std::int64_t filled_ = 0;
  std::int64_t capacity_ = 0;
  std::int64_t segments_ = 0;
  std::int64_t repeated_row_ = -1;
  Row carried_;
  bool carrying_ = false;
  Segment segments_list_[max_segments];
  using Values = float[loss_block_tokens];
  Values advantages_, weights_, bonus_weights_, ratios_, own_slopes_, drifted_, phi_positive_, phi_negative_,
      means_, mean_slopes_, row_slopes_;
  using Bits = std::uint8_t[loss_block_tokens / 8];
  Bits low_, high_, dual_;
};

}  // namespace

LossPartial loss_of_rows(const LossPlan& plan, std::int64_t begin, std::int64_t end) {
  if (begin == end) return {};
  const LossPartial partial = plan.plain ? loss_of_plain_rows(plan, begin, end) : Chunk(plan).run(begin, end);
  if (plan.stream) streams_done();
  return partial;
}

}  // namespace adjudge
