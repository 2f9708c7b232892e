// The bodies of the preference loss's table, included once per instruction set after its lanes.
#pragma once
#include "native/cpu/doubles_math.h"
#include "native/cpu/preference_loss_kernels.h"
#include "native/rules/preference_terms.h"

namespace adjudge {
namespace {

// Reads 4 bytes a token, 8 with a reference, and the masks; two to four operations. Sums start at the row's
// first token, so that equal rows have equal sums. A row's last vector reads into the next row.
template <bool references, bool masks>
static inline __attribute__((always_inline)) void sum_row(const PreferenceTokens& tokens, int64_t begin,
                                                          int64_t count, CompletionSums& sums) {
  constexpr int64_t width = Doubles::width;
  Doubles log_prob(0.0), more_log_prob(0.0), reference(0.0), more_reference(0.0);
  const float* from = tokens.log_probs + begin;
  const float* other = references ? tokens.reference_log_probs + begin : nullptr;
  const uint8_t* mask = masks ? tokens.mask + begin : nullptr;
  i64_register counted = {};
  // A vector at i of which the first `left` are the row's, and of which `readable` lie in memory.
  const auto add = [&](int64_t i, int64_t left, int64_t readable) __attribute__((always_inline)) {
    DoubleMask here = first_doubles(left);
    if constexpr (masks) here = both(here, nonzero_doubles(mask + i, readable));
    counted -= here.value;
    log_prob = log_prob + only(here, load_doubles(from + i, readable));
    if constexpr (references) reference = reference + only(here, load_doubles(other + i, readable));
  };
  int64_t i = 0;
  if constexpr (masks) {
    for (; i + width <= count; i += width) add(i, width, width);
  } else {
    for (; i + 2 * width <= count; i += 2 * width) {
      log_prob = log_prob + load_doubles(from + i);
      more_log_prob = more_log_prob + load_doubles(from + i + width);
      if constexpr (references) {
        reference = reference + load_doubles(other + i);
        more_reference = more_reference + load_doubles(other + i + width);
      }
    }
  }
  for (; i < count; i += width) {
    const int64_t readable = tokens.count - begin - i;
    readable >= width ? add(i, count - i, width) : add(i, count - i, readable);
  }
  sums.log_prob = sum_of(log_prob + more_log_prob);
  sums.reference = references ? sum_of(reference + more_reference) : 0;
  sums.tokens = static_cast<int32_t>(masks ? sum_of(counted) : count);
}

template <bool references, bool masks>
void sum_rows_of(const PreferenceTokens& tokens, const int32_t* boundaries, int64_t rows,
                 CompletionSums* sums) {
  for (int64_t row = 0; row < rows; ++row) {
    CompletionSums& one = sums[row];
    const int64_t begin = boundaries[row], count = boundaries[row + 1] - begin;
    sum_row<references, masks>(tokens, begin, count, one);
    one.nll = one.log_prob;
    one.nll_tokens = one.tokens;
    if (tokens.nll_mask == nullptr) continue;
    CompletionSums likelihood;
    sum_row<false, true>({tokens.log_probs, nullptr, tokens.nll_mask, nullptr, tokens.count}, begin, count,
                         likelihood);
    one.nll = likelihood.log_prob;
    one.nll_tokens = likelihood.tokens;
  }
}

void sum_rows(const PreferenceTokens& tokens, const int32_t* boundaries, int64_t rows, CompletionSums* sums) {
  const bool references = tokens.reference_log_probs != nullptr;
  if (tokens.mask != nullptr)
    references ? sum_rows_of<true, true>(tokens, boundaries, rows, sums)
               : sum_rows_of<false, true>(tokens, boundaries, rows, sums);
  else
    references ? sum_rows_of<true, false>(tokens, boundaries, rows, sums)
               : sum_rows_of<false, false>(tokens, boundaries, rows, sums);
}

ADJUDGE_INLINE rl::Score<Doubles> scores_at(const rl::PreferenceRule& rule, const PreferenceSide& side,
                                            int64_t i, const Doubles& log_ratio) {
  rl::Score<Doubles> score = rl::score_of(rule, log_ratio);
  if (rule.length_normalization == rl::LengthNormalization::score) {
    const Doubles share = load_doubles(side.shares + i);
    score = {score.value * share, score.slope * share};
  }
  return score;
}

ADJUDGE_INLINE double least_of(const Doubles& x) {
  double least = x.value[0];
  for (int64_t i = 1; i < Doubles::width; ++i) least = x.value[i] < least ? x.value[i] : least;
  return least;
}

// About 60 operations a pair for a kind with one logistic function. The last vector of a block may read and
// write what lies behind its pairs; their lanes are not summed.
void pair_terms(const rl::PreferenceRule& constants, const PairBlock& block, PreferenceSums& sums,
                double* chosen_slopes, double* rejected_slopes) {
  const rl::PreferenceRule rule = constants;
  const Doubles zero(0.0), one(1.0), two(2.0), beta(rule.beta), center(block.center_weight);
  const Doubles infinite(__builtin_inf());
  Doubles loss = zero, good_sum = zero, bad_sum = zero, higher = zero, gap_sum = zero, good_log_prob = zero,
          bad_log_prob = zero, log_odds = zero, log_sigmoid_odds = zero, least = infinite, most = -infinite;
  for (int64_t i = 0; i < block.count; i += Doubles::width) {
    const DoubleMask here = first_doubles(block.count - i);
    const Doubles chosen_ratio = load_doubles(block.chosen.log_ratios + i);
    const Doubles rejected_ratio = load_doubles(block.rejected.log_ratios + i);
    const rl::Score<Doubles> chosen = scores_at(rule, block.chosen, i, chosen_ratio);
    const rl::Score<Doubles> rejected = scores_at(rule, block.rejected, i, rejected_ratio);
    const Doubles weight = load_doubles(block.weights + i);
    rl::PairLoss<Doubles> pair;
    if (rule.kind == rl::PreferenceKind::orpo) {
      const rl::OddsLoss<Doubles> odds = rl::odds_loss(rule, chosen.value, rejected.value);
      pair = odds.pair;
      log_odds = log_odds + only(here, odds.log_odds);
      log_sigmoid_odds = log_sigmoid_odds + only(here, odds.log_sigmoid_odds);
    } else {
      pair = rl::pair_loss(rule, chosen.value, rejected.value, load_doubles(block.margins + i));
    }
    const Doubles both_scores = chosen.value + rejected.value;
    loss = loss + only(here, weight * pair.value + center * both_scores * both_scores);
    const Doubles pull = two * center * both_scores;
    store_doubles(chosen_slopes + i, (weight * pair.chosen + pull) * chosen.slope);
    store_doubles(rejected_slopes + i, (weight * pair.rejected + pull) * rejected.slope);
    const Doubles good = beta * (block.reference ? chosen_ratio : chosen.value);
    const Doubles bad = beta * (block.reference ? rejected_ratio : rejected.value);
    good_sum = good_sum + only(here, good);
    bad_sum = bad_sum + only(here, bad);
    gap_sum = gap_sum + only(here, good - bad);
    higher = higher + only(both(here, less(bad, good)), one);
    good_log_prob = good_log_prob + only(here, load_doubles(block.chosen.log_probs + i));
    bad_log_prob = bad_log_prob + only(here, load_doubles(block.rejected.log_probs + i));
    least = minimum(least, select(here, minimum(good, bad), infinite));
    most = maximum(most, select(here, maximum(good, bad), -infinite));
  }
  sums.loss += sum_of(loss);
  sums.reward_chosen += sum_of(good_sum);
  sums.reward_rejected += sum_of(bad_sum);
  sums.higher += sum_of(higher);
  sums.margin += sum_of(gap_sum);
  sums.log_prob_chosen += sum_of(good_log_prob);
  sums.log_prob_rejected += sum_of(bad_log_prob);
  sums.log_odds += sum_of(log_odds);
  sums.log_sigmoid_odds += sum_of(log_sigmoid_odds);
  const double block_least = least_of(least), block_most = -least_of(-most);
  if (block_least < sums.reward_least) sums.reward_least = block_least;
  if (block_most > sums.reward_most) sums.reward_most = block_most;
}

void single_terms(const rl::PreferenceRule& constants, const SingleBlock& block, PreferenceSums& sums,
                  double* slopes) {
  const rl::PreferenceRule rule = constants;
  const Doubles zero(0.0), beta(rule.beta), baseline(block.baseline);
  Doubles loss = zero, good_sum = zero, bad_sum = zero, good_log_prob = zero, bad_log_prob = zero;
  for (int64_t i = 0; i < block.count; i += Doubles::width) {
    const DoubleMask here = first_doubles(block.count - i);
    const Doubles ratio = load_doubles(block.side.log_ratios + i), sign = load_doubles(block.signs + i);
    const Doubles log_prob = load_doubles(block.side.log_probs + i);
    const Doubles weight = load_doubles(block.weights + i);
    const rl::Score<Doubles> score = scores_at(rule, block.side, i, ratio);
    const rl::Score<Doubles> term = rl::single_loss(rule, score.value, baseline, sign);
    loss = loss + only(here, weight * term.value);
    store_doubles(slopes + i, weight * term.slope * score.slope);
    const DoubleMask good = both(here, less(zero, sign)), bad = both(here, less(sign, zero));
    good_sum = good_sum + only(good, beta * ratio);
    bad_sum = bad_sum + only(bad, beta * ratio);
    good_log_prob = good_log_prob + only(good, log_prob);
    bad_log_prob = bad_log_prob + only(bad, log_prob);
  }
  sums.loss += sum_of(loss);
  sums.reward_chosen += sum_of(good_sum);
  sums.reward_rejected += sum_of(bad_sum);
  sums.log_prob_chosen += sum_of(good_log_prob);
  sums.log_prob_rejected += sum_of(bad_log_prob);
}

// Writes 4 bytes a token, by way of a block in the first-level cache: rows begin anywhere, vectors do not.
void write_rows(float* gradients, const int32_t* boundaries, int64_t rows, const float* values,
                const uint8_t* mask, bool stream) {
  constexpr int64_t width = Lanes::width, block = 1024;
  float laid_out[block + width];  // the last vector of a row may reach beyond its end
  const int64_t end = boundaries[rows];
  int64_t row = 0;
  for (int64_t at = boundaries[0]; at < end;) {
    const auto misplaced = static_cast<int64_t>(reinterpret_cast<uintptr_t>(gradients + at) / 4 % width);
    const bool aligned = misplaced == 0;
    const int64_t most = stream && !aligned ? width - misplaced : block;
    const int64_t stop = end - at < most ? end : at + most;
    for (int64_t from = at; from < stop;) {
      while (boundaries[row + 1] <= from) ++row;
      const int64_t to = boundaries[row + 1] < stop ? boundaries[row + 1] : stop;
      const Lanes value(values[row]);
      for (int64_t i = from; i < to; i += width) store_lanes(laid_out + (i - at), value, width);
      from = to;
    }
    for (int64_t i = at; i < stop; i += width) {
      Lanes value = load_lanes(laid_out + (i - at), width);
      if (mask != nullptr) value = select(nonzero_bytes(mask + i, stop - i), value, Lanes(0.0f));
      if (stream && aligned && stop - i >= width)
        stream_lanes(gradients + i, value);
      else
        store_lanes(gradients + i, value, stop - i);
    }
    at = stop;
  }
}

constexpr PreferenceKernels preference_table = {sum_rows, pair_terms, single_terms, write_rows};

}  // namespace
}  // namespace adjudge
