#include "native/cpu/preference_loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "native/core/thread_pool.h"
#include "native/cpu/preference_blocks.h"
#include "native/rules/preference_metrics.h"
#include "native/rules/preference_odds.h"
#include "native/rules/preference_sorted.h"

namespace adjudge {
namespace {

using namespace rl;

constexpr std::int64_t block_rows = 1024;
constexpr std::int64_t streamed_tokens = std::int64_t{8} << 20;  // larger outputs go past the caches

// A range of terms and of the completions that are in them, from token sums to slopes.
struct Part {
  PreferenceRows rows;
  Slopes chosen, rejected;      // of each pair; kto: of each completion, the first
  Slopes slopes, times_chosen;  // of each completion
};

// Reads and writes every token once. Where pairs come in the order of their completions, as they do group by
// group, a chunk of pairs goes from its tokens to its gradients while its numbers lie in the caches; else
// each stage runs over the whole batch. Both give the same bits.
class Preference {
 public:
  Preference(const PreferenceRule& rule, const PreferenceBatch<float>& batch, float* gradients)
      : rule_(rule),
        batch_(batch),
        output_(gradients),
        completions_(static_cast<std::int64_t>(batch.completions)),
        terms_(single() ? completions_ : static_cast<std::int64_t>(batch.pairs)),
        chunks_(static_cast<std::size_t>((terms_ + chunk_terms - 1) / chunk_terms)) {}

  PreferenceValue run() {
    const double size = batch_.batch_size >= 0 ? batch_.batch_size : static_cast<double>(terms_);
    each_ = size > 0 ? 1 / size : 0;
    if (single()) result_.metrics.kl = baseline_ = kl_baseline();
    each_term_chunk([&](std::int64_t item) { bound(chunks_[static_cast<std::size_t>(item)], item); });
    if (separable()) {
      each_term_chunk([&](std::int64_t item) { run_chunk(item); });
      merge();
      measure();
    } else {
      run_stages();
    }
    return result_;
  }

 private:
  bool single() const { return rule_.kind == PreferenceKind::kto; }
  bool sorted() const {
    return rule_.kind == PreferenceKind::aot || rule_.kind == PreferenceKind::aot_unpaired;
  }

  template <typename Body>
  void each_term_chunk(const Body& body) const {
    parallel(static_cast<std::int64_t>(chunks_.size()), body);
  }
  std::int64_t begin_of(std::int64_t item) const { return item * chunk_terms; }
  std::int64_t end_of(std::int64_t item) const { return std::min(terms_, begin_of(item + 1)); }

  void bound(PreferenceChunk& chunk, std::int64_t item) const {
    if (single()) {
      chunk.first = begin_of(item);
      chunk.last = end_of(item) - 1;
      return;
    }
    std::int32_t first = INT32_MAX, last = -1;
    for (std::int64_t p = begin_of(item); p < end_of(item); ++p) {
      first = std::min({first, batch_.chosen[p], batch_.rejected[p]});
      last = std::max({last, batch_.chosen[p], batch_.rejected[p]});
    }
    chunk.first = first;
    chunk.last = last;
  }

  // Whether chunks are enough for all threads and share no completion, nor a number that all of them must
  // have been summed for.
  bool separable() const {
    if (sorted() || rule_.nll_coefficient != 0) return false;
    if (static_cast<std::int64_t>(chunks_.size()) < 4 * threads()) return false;
    for (std::size_t item = 1; item < chunks_.size(); ++item) {
      if (chunks_[item].first <= chunks_[item - 1].last) return false;
    }
    return true;
  }

  void run_chunk(std::int64_t item) {
    PreferenceChunk& chunk = chunks_[static_cast<std::size_t>(item)];
    const bool last = static_cast<std::size_t>(item) + 1 == chunks_.size();
    const std::int64_t begin = item == 0 ? 0 : chunk.first;
    const std::int64_t end = last ? completions_ : chunks_[static_cast<std::size_t>(item) + 1].first;
    Part part = part_of(begin_of(item), end_of(item));
    part.rows.sum(begin, end);
    take_terms(item, part);
    if (!single()) {
      part.slopes = Slopes(begin, end);
      gather(begin, end, item, item + 1, part);
    }
    write_rows(begin, end, part);
  }

  void run_stages() {
    Part part = part_of(0, terms_);
    part.rows.sum_all();
    each_term_chunk([&](std::int64_t item) { take_terms(item, part); });
    merge();
    if (sorted()) match_sorted(part);
    measure();
    if (!single()) {
      part.slopes = Slopes(0, completions_);
      if (nll_share_ != 0) part.times_chosen = Slopes(0, completions_);
      const std::int64_t ranges = std::clamp<std::int64_t>(completions_ / 4096, 1, threads());
      parallel(ranges, [&](std::int64_t range) {
        gather(completions_ * range / ranges, completions_ * (range + 1) / ranges, 0,
               static_cast<std::int64_t>(chunks_.size()), part);
      });
    }
    part.rows.each_chunk([&](std::int64_t begin, std::int64_t end) { write_rows(begin, end, part); });
  }

  Part part_of(std::int64_t begin, std::int64_t end) const {
    // A block's last vector writes whole.
    Part part{PreferenceRows(rule_, batch_), Slopes(begin, end + preference_block), {}, {}, {}};
    if (!single()) part.rejected = Slopes(begin, end + preference_block);
    return part;
  }

  void take_terms(std::int64_t item, Part& part) {
    PreferenceChunk& chunk = chunks_[static_cast<std::size_t>(item)];
    single() ? judge(begin_of(item), end_of(item), chunk, part)
             : compare(begin_of(item), end_of(item), chunk, part);
  }

  void compare(std::int64_t begin, std::int64_t end, PreferenceChunk& chunk, Part& part) {
    PairBlock block;
    block.center_weight = each_ * rule_.center_coefficient;
    block.reference = batch_.reference_log_probs != nullptr;
    const double weight = sorted() ? 0 : each_;  // their own terms are those of match_sorted
    for (std::int64_t at = begin; at < end; at += preference_block) {
      block.count = std::min(preference_block, end - at);
      for (std::int64_t i = 0; i < block.count; ++i) {
        const std::int64_t pair = at + i, good = batch_.chosen[pair], bad = batch_.rejected[pair];
        part.rows.read(good, block.chosen, i);
        part.rows.read(bad, block.rejected, i);
        block.margins[i] = batch_.margins ? static_cast<double>(batch_.margins[pair]) : 0;
        block.weights[i] = batch_.weights ? weight * batch_.weights[pair] : weight;
        chunk.nll += part.rows.nll(good);
        chunk.nll_tokens += part.rows.nll_tokens(good);
        if (rule_.kind != PreferenceKind::orpo || chunk.certain >= 0) continue;
        if (!(block.chosen.log_ratios[i] < 0))
          chunk.certain = good;
        else if (!(block.rejected.log_ratios[i] < 0))
          chunk.certain = bad;
      }
      kernels_.pair_terms(rule_, block, chunk.sums, &part.chosen[at], &part.rejected[at]);
    }
  }

  void judge(std::int64_t begin, std::int64_t end, PreferenceChunk& chunk, Part& part) {
    SingleBlock block;
    block.baseline = baseline_;
    for (std::int64_t at = begin; at < end; at += preference_block) {
      block.count = std::min(preference_block, end - at);
      for (std::int64_t i = 0; i < block.count; ++i) {
        const bool good = batch_.desirable[at + i] != 0;
        part.rows.read(at + i, block.side, i);
        block.signs[i] = good ? 1 : -1;
        block.weights[i] = each_ * (good ? rule_.desirable_weight : rule_.undesirable_weight);
        if (batch_.weights) block.weights[i] *= batch_.weights[at + i];
        chunk.desirable += good ? 1 : 0;
      }
      kernels_.single_terms(rule_, block, chunk.sums, &part.chosen[at]);
    }
  }

  double kl_baseline() const {
    if (!batch_.mismatched_log_probs) return batch_.kl_baseline;
    double sum = 0;
    for (std::size_t i = 0; i < batch_.mismatched; ++i)
      sum += static_cast<double>(batch_.mismatched_log_probs[i]) - batch_.mismatched_reference_log_probs[i];
    return batch_.mismatched > 0 ? std::max(sum / static_cast<double>(batch_.mismatched), 0.0) : 0;
  }

  void merge() {
    for (const PreferenceChunk& chunk : chunks_) {
      if (chunk.certain >= 0) refuse_odds(chunk.certain);
      whole_.add(chunk);
    }
    result_.loss = whole_.sums.loss;
  }

  void match_sorted(Part& part) {
    const bool unpaired = rule_.kind == PreferenceKind::aot_unpaired;
    std::vector<double> left(batch_.pairs), right(batch_.pairs);
    PreferenceSide sides[2];
    for (std::size_t p = 0; p < batch_.pairs; ++p) {
      for (int i = 0; i < 2; ++i) part.rows.read(i == 0 ? batch_.chosen[p] : batch_.rejected[p], sides[i], 0);
      const double good = sides[0].log_probs[0], bad = sides[1].log_probs[0];
      const double good_ratio = sides[0].log_ratios[0], bad_ratio = sides[1].log_ratios[0];
      left[p] = unpaired ? good_ratio : good - bad;
      right[p] = unpaired ? bad_ratio : (good - good_ratio) - (bad - bad_ratio);
    }
    const double sum =
        sorted_loss(rule_, left, right, [&](std::size_t l, std::size_t r, const PairLoss<double>& pair) {
          part.chosen[static_cast<std::int64_t>(l)] += each_ * pair.chosen;
          // Unpaired, the other side is a rejected completion; paired, the reference, which is constant.
          part.rejected[static_cast<std::int64_t>(unpaired ? r : l)] += each_ * pair.rejected;
        });
    result_.loss += each_ * sum;
  }

  void measure() { single() ? measure_singles() : measure_pairs(); }

  void measure_pairs() {
    const PreferenceSums& sums = whole_.sums;
    PreferenceMetrics& metrics = result_.metrics;
    pair_means(sums, static_cast<double>(batch_.pairs), sums.reward_least, sums.reward_most, metrics);
    metrics.nll = mean_or_nan(-whole_.nll, whole_.nll_tokens);
    const double tokens = batch_.batch_tokens >= 0 ? batch_.batch_tokens : whole_.nll_tokens;
    if (rule_.nll_coefficient == 0 || tokens <= 0) return;
    nll_share_ = rule_.nll_coefficient / tokens;
    result_.loss -= nll_share_ * whole_.nll;
  }

  void measure_singles() {
    const double good = whole_.desirable;
    single_means(whole_.sums, good, static_cast<double>(terms_) - good, result_.metrics);
  }

  // Every completion's slopes are added in the order of the pairs, whatever the ranges: each takes the pairs'
  // chunks that touch it, which are few where pairs come in the order of their completions.
  void gather(std::int64_t begin, std::int64_t end, std::int64_t first_item, std::int64_t last_item,
              Part& part) const {
    const bool likelihood = nll_share_ != 0;
    std::fill(&part.slopes[begin], &part.slopes[begin] + (end - begin), 0.0);
    if (likelihood) std::fill(&part.times_chosen[begin], &part.times_chosen[begin] + (end - begin), 0.0);
    for (std::int64_t item = first_item; item < last_item; ++item) {
      const PreferenceChunk& chunk = chunks_[static_cast<std::size_t>(item)];
      if (chunk.last < begin || chunk.first >= end) continue;
      for (std::int64_t p = begin_of(item); p < end_of(item); ++p) {
        const std::int64_t good = batch_.chosen[p], bad = batch_.rejected[p];
        if (good >= begin && good < end) {
          part.slopes[good] += part.chosen[p];
          if (likelihood) part.times_chosen[good] += 1;
        }
        if (bad >= begin && bad < end) part.slopes[bad] += part.rejected[p];
      }
    }
  }

  void write_rows(std::int64_t begin, std::int64_t end, const Part& part) const {
    const Slopes& slopes = single() ? part.chosen : part.slopes;
    const auto ranked = [&](std::int64_t row) { return slopes[row] * part.rows.token_share(row); };
    const auto likelihood = [&](std::int64_t row) {
      return nll_share_ == 0 ? 0 : nll_share_ * part.times_chosen[row];
    };
    const std::int32_t* const starts = batch_.cu_seqlens;
    if (starts && nll_share_ != 0 && batch_.nll_mask) {
      for (std::int64_t row = begin; row < end; ++row)
        write_row_of_two_masks(starts[row], starts[row + 1], ranked(row), likelihood(row));
      return;
    }
    const bool stream = starts && starts[completions_] >= streamed_tokens;
    float values[block_rows];
    for (std::int64_t at = begin; at < end; at += block_rows) {
      const std::int64_t count = std::min(block_rows, end - at);
      float* const each = starts ? values : output_ + at;
      for (std::int64_t i = 0; i < count; ++i)
        each[i] = static_cast<float>(ranked(at + i) - likelihood(at + i));
      if (starts) kernels_.write_rows(output_, starts + at, count, values, batch_.mask, stream);
    }
#if defined(__x86_64__)
    if (stream) _mm_sfence();
#endif
  }

  void write_row_of_two_masks(std::int32_t begin, std::int32_t end, double ranked, double likelihood) const {
    for (std::int32_t t = begin; t < end; ++t) {
      const double first = batch_.mask && !batch_.mask[t] ? 0 : ranked;
      output_[t] = static_cast<float>(first - (batch_.nll_mask[t] ? likelihood : 0));
    }
  }

  const PreferenceRule& rule_;
  const PreferenceBatch<float>& batch_;
  const PreferenceKernels& kernels_ = preference_kernels();
  float* output_;
  std::int64_t completions_;
  std::int64_t terms_;  // pairs; kto: completions
  double each_ = 0;     // what every term of a mean weighs
  double baseline_ = 0;
  double nll_share_ = 0;
  std::vector<PreferenceChunk> chunks_;
  PreferenceChunk whole_;
  PreferenceValue result_;
};

}  // namespace

rl::PreferenceValue preference_loss(const rl::PreferenceRule& rule, const rl::PreferenceBatch<float>& batch,
                                    float* gradients) {
  return Preference(rule, batch, gradients).run();
}

}  // namespace adjudge
