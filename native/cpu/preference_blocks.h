// Part of cpu/preference_loss.cpp: the completions of a batch as blocks of terms read them, and what comes
// out of a chunk of terms.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/core/thread_pool.h"
#include "native/cpu/preference_loss_kernels.h"

namespace adjudge {

const PreferenceKernels& preference_kernels();

// Work items of fixed size: sums do not depend on the threads.
inline constexpr std::int64_t chunk_terms = 1024;
inline constexpr std::int64_t chunk_tokens = 32768;

// body(item) for item in [0, items).
template <typename Body>
void parallel(std::int64_t items, const Body& body) {
  if (items == 1) return body(std::int64_t{0});
  if (items > 1) parallel_for(items, [&](std::int64_t item, int) { body(item); });
}

// Numbers at [begin, end), written before they are read.
class Slopes {
 public:
  Slopes() = default;
  Slopes(std::int64_t begin, std::int64_t end)
      : begin_(begin),
        values_(std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(end - begin))) {}
  double& operator[](std::int64_t at) const { return values_[static_cast<std::size_t>(at - begin_)]; }

 private:
  std::int64_t begin_ = 0;
  std::unique_ptr<double[]> values_;
};

struct PreferenceChunk {
  PreferenceSums sums;
  double nll = 0;
  double nll_tokens = 0;
  double desirable = 0;
  std::int64_t first = INT64_MAX;  // the range of the completions in its pairs
  std::int64_t last = -1;
  std::int64_t certain = -1;  // orpo: a completion whose odds are not finite

  void add(const PreferenceChunk& other);
};

class PreferenceRows {
 public:
  PreferenceRows(const rl::PreferenceRule& rule, const rl::PreferenceBatch<float>& batch)
      : rule_(rule), batch_(batch) {}

  // Adds up the tokens of the completions [begin, end), the only ones that may then be asked for, where there
  // are tokens.
  void sum(std::int64_t begin, std::int64_t end);
  // The same for all of them, on all threads.
  void sum_all();

  std::int64_t completions() const { return static_cast<std::int64_t>(batch_.completions); }

  // body(begin, end) of chunks of completions, on all threads.
  template <typename Body>
  void each_chunk(const Body& body) const {
    const std::int64_t rows = completions();
    const std::int32_t* const starts = batch_.cu_seqlens;
    const std::int64_t tokens = starts ? starts[rows] : rows;
    const std::int64_t chunks = std::max<std::int64_t>(1, (tokens + chunk_tokens - 1) / chunk_tokens);
    const auto first_row = [&](std::int64_t chunk) {
      if (chunk == 0) return std::int64_t{0};
      if (chunk == chunks) return rows;
      const std::int64_t token = chunk * chunk_tokens;
      return starts ? std::int64_t{std::lower_bound(starts, starts + rows, token) - starts} : token;
    };
    parallel(chunks, [&](std::int64_t chunk) {
      const std::int64_t begin = first_row(chunk), end = first_row(chunk + 1);
      if (begin < end) body(begin, end);
    });
  }

  void read(std::int64_t row, PreferenceSide& side, std::int64_t i) const {
    double log_prob, reference = 0;
    if (batch_.cu_seqlens) {
      log_prob = sums(row).log_prob;
      reference = sums(row).reference;
    } else {
      log_prob = batch_.log_probs[row];
      if (batch_.reference_log_probs) reference = batch_.reference_log_probs[row];
    }
    if (rule_.length_normalization != rl::LengthNormalization::none) {
      side.shares[i] = 1 / std::max(tokens(row), 1.0);
      if (rule_.length_normalization == rl::LengthNormalization::log_prob) {
        log_prob *= side.shares[i];
        reference *= side.shares[i];
      }
    }
    side.log_probs[i] = log_prob;
    side.log_ratios[i] = log_prob - reference;
  }

  double tokens(std::int64_t row) const {
    if (batch_.cu_seqlens) return sums(row).tokens;
    return batch_.lengths ? batch_.lengths[row] : 1;
  }
  double nll(std::int64_t row) const {
    return batch_.cu_seqlens ? sums(row).nll : static_cast<double>(batch_.log_probs[row]);
  }
  double nll_tokens(std::int64_t row) const { return batch_.cu_seqlens ? sums(row).nll_tokens : tokens(row); }
  // d log ratio / d log-prob of a token
  double token_share(std::int64_t row) const {
    const bool mean = rule_.length_normalization == rl::LengthNormalization::log_prob;
    return mean ? 1 / std::max(tokens(row), 1.0) : 1;
  }

 private:
  const CompletionSums& sums(std::int64_t row) const { return sums_[row - first_]; }
  void add_up(std::int64_t begin, std::int64_t end);

  const rl::PreferenceRule& rule_;
  const rl::PreferenceBatch<float>& batch_;
  std::unique_ptr<CompletionSums[]> sums_;
  std::int64_t first_ = 0;
};

}  // namespace adjudge
