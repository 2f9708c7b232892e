// Part of cpu/policy_loss.cpp: what the chunks of rows share, and the sums that come out of one.
#pragma once
#include <algorithm>
#include <cstdint>

#include "native/cpu/policy_loss_kernels.h"
#include "native/rules/policy_loss.h"

namespace adjudge {

const PolicyLossKernels& policy_loss_kernels();

struct LossPlan {
  LossPlan(const rl::LossRule& rule, const rl::LossBatch<float>& batch, const std::uint8_t* teaches,
           const std::uint8_t* selected, float* gradients, float* entropy_gradients);

  void set_counts(const rl::Counts& own);

  std::int64_t counted_tokens(std::int64_t row) const {
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
  rl::Counts counts;  // of the whole optimizer batch
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

// The rows [begin, end).
LossPartial loss_of_rows(const LossPlan& plan, std::int64_t begin, std::int64_t end);

}  // namespace adjudge
