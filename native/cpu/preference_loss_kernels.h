// The table of the preference loss's vector operations; cpu/preference_loss.cpp feeds them with rows and
// blocks.
#pragma once
#include <cstdint>

#include "native/rules/preference.h"

namespace adjudge {

inline constexpr int64_t preference_block = 128;  // pairs or completions whose terms are taken together

// What the terms need of a completion's tokens.
struct CompletionSums {
  double log_prob;   // sum over counted tokens
  double reference;  // the same under the reference; 0 where there is none
  double nll;        // sum over the tokens that the token loss counts
  int32_t tokens;
  int32_t nll_tokens;
};

struct PreferenceTokens {
  const float* log_probs;
  const float* reference_log_probs;  // null: none
  const uint8_t* mask;               // null: all
  const uint8_t* nll_mask;           // null: as mask
  int64_t count;                     // of all rows: what may be read
};

using BlockNumbers = double[preference_block];

// One side of a block of pairs: of each completion its log-prob and its log ratio, which may be means over
// its tokens, and 1 / tokens where the score is a mean (else not read).
struct PreferenceSide {
  BlockNumbers log_probs;
  BlockNumbers log_ratios;
  BlockNumbers shares;
};

struct PairBlock {
  int64_t count;
  PreferenceSide chosen;
  PreferenceSide rejected;
  BlockNumbers margins;
  BlockNumbers weights;  // what each pair weighs in the loss
  double center_weight;  // of (chosen + rejected score)^2
  bool reference;        // rewards are beta x log ratios, else beta x scores
};

struct SingleBlock {
  int64_t count;
  PreferenceSide side;
  BlockNumbers signs;  // 1 = desirable, -1
  BlockNumbers weights;
  double baseline;
};

struct PreferenceSums {
  double loss = 0;
  double reward_chosen = 0;
  double reward_rejected = 0;
  double higher = 0;  // pairs whose chosen completion has the higher reward
  double margin = 0;
  double log_prob_chosen = 0;
  double log_prob_rejected = 0;
  double log_odds = 0;
  double log_sigmoid_odds = 0;
  double reward_least = __builtin_inf();
  double reward_most = -__builtin_inf();
};

struct PreferenceKernels {
  // Of `rows` completions whose boundaries start at `boundaries`.
  void (*sum_rows)(const PreferenceTokens& tokens, const int32_t* boundaries, int64_t rows,
                   CompletionSums* sums);
  // Slopes are d loss / d log ratio.
  void (*pair_terms)(const rl::PreferenceRule& rule, const PairBlock& block, PreferenceSums& sums,
                     double* chosen_slopes, double* rejected_slopes);
  void (*single_terms)(const rl::PreferenceRule& rule, const SingleBlock& block, PreferenceSums& sums,
                       double* slopes);
  // The gradients of `rows` completions: each row's own value, 0 where the mask is 0; past the caches where
  // `stream` says so. gradients and mask start at token 0.
  void (*write_rows)(float* gradients, const int32_t* boundaries, int64_t rows, const float* values,
                     const uint8_t* mask, bool stream);
};

extern const PreferenceKernels preference_portable;
#if defined(__x86_64__)
extern const PreferenceKernels preference_avx2;
extern const PreferenceKernels preference_avx512;
#endif

}  // namespace adjudge
