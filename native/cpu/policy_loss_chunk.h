// Part of cpu/policy_loss.cpp: what the chunks of rows share, and the sums that come out of one.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "native/cpu/policy_loss_kernels.h"
#include "native/rules/policy_loss.h"

namespace adjudge {

const PolicyLossKernels& policy_loss_kernels();

struct LossPlan {
  LossPlan(const rl::LossRule& rule, const rl::LossBatch<float>& batch, const std::uint8_t* teaches,
           const std::uint8_t* selected, float* gradients, float* entropy_gradients);

  void set_counts(const rl::Counts& own);

  std::int64_t counted_tokens(std::int64_t row) const {
    if (!row_counts.empty()) return row_counts[static_cast<std::size_t>(row)];
    const std::int64_t begin = batch.cu_seqlens[row], end = batch.cu_seqlens[row + 1];
    return batch.mask ? kernels.count_bytes(batch.mask + begin, end - begin) : end - begin;
  }

  const rl::LossRule& rule;
  const rl::LossBatch<float>& batch;
  const std::uint8_t* teaches;
  const std::uint8_t* selected;
  float* gradients;
  float* entropy_gradients;
  const PolicyLossKernels& kernels;
  rl::LossConstants constants;
  bool by_token;       // each token has its own ratio
  bool joint;          // the row's ratio is differentiated as a whole
  bool drift;          // rows that drifted are looked for
  bool sums_rows;      // a row is read once before its sweep
  bool weighs_by_row;  // a token's weight depends on its row
  bool bonus_by_row;
  bool plain;                            // rows are swept whole: policy_loss_plain.cpp
  rl::Counts counts;                     // of the whole optimizer batch
  std::vector<std::int32_t> row_counts;  // counted tokens of the rows, where a mask tells
  float bonus_weight = 0;
  bool stream = false;
};

struct LossPartial {
  LossSums sums = {};
  double clip_low = 0;
  double clip_high = 0;
  double clip_dual = 0;
  double clip_token = 0;
  double clip_low_min = 0;
  double clip_high_max = 0;
  bool any_row = false;
  double phi = 0;
  double phi_count = 0;

  void note_shares(double low, double high) {
    clip_low_min = any_row ? std::min(clip_low_min, low) : low;
    clip_high_max = std::max(clip_high_max, high);
    any_row = true;
  }

  // What was clipped of a row's counted tokens; by tokens, or the row as one where the ratio is the row's.
  void note_clips(bool by_token, std::int64_t counted, std::int64_t low, std::int64_t high,
                  std::int64_t dual) {
    const double clipped_low = static_cast<double>(low), clipped_high = static_cast<double>(high);
    clip_token += clipped_low + clipped_high;
    if (!by_token) {
      clip_low += low > 0 ? 1 : 0;
      clip_high += high > 0 ? 1 : 0;
      clip_dual += dual > 0 ? 1 : 0;
      note_shares(low > 0 ? 1 : 0, high > 0 ? 1 : 0);
    } else if (counted > 0) {
      clip_low += clipped_low;
      clip_high += clipped_high;
      clip_dual += static_cast<double>(dual);
      note_shares(clipped_low / static_cast<double>(counted), clipped_high / static_cast<double>(counted));
    }
  }

  void add(const LossPartial& other) {
    sums.loss += other.sums.loss;
    sums.bonus += other.sums.bonus;
    sums.kl += other.sums.kl;
    sums.entropy += other.sums.entropy;
    sums.ratio += other.sums.ratio;
    sums.ratio_max = std::max(sums.ratio_max, other.sums.ratio_max);
    sums.old_kl += other.sums.old_kl;
    sums.old_kl_bounded += other.sums.old_kl_bounded;
    sums.old_kl_absolute += other.sums.old_kl_absolute;
    sums.bound += other.sums.bound;
    sums.selected += other.sums.selected;
    clip_low += other.clip_low;
    clip_high += other.clip_high;
    clip_dual += other.clip_dual;
    clip_token += other.clip_token;
    phi += other.phi;
    phi_count += other.phi_count;
    if (other.any_row) note_shares(other.clip_low_min, other.clip_high_max);
  }
};

// A row's ratio, of its tokens' log ratios summed or their mean.
struct RowRatio {
  double value;
  bool inside;  // the log ratio is within its bounds
};
RowRatio row_ratio(const rl::LossRule& rule, double log_ratio);

// The loss of a row without a counted token, where such rows have one: that of a ratio of 1.
double loss_of_empty_row(const LossPlan& plan, std::int64_t row, float phi);

// The rows [begin, end) of a plain rule.
LossPartial loss_of_plain_rows(const LossPlan& plan, std::int64_t begin, std::int64_t end);

// The rows [begin, end).
LossPartial loss_of_rows(const LossPlan& plan, std::int64_t begin, std::int64_t end);

}  // namespace adjudge
