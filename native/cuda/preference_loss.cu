// The preference losses. A warp or a block per completion adds up its tokens, a thread per pair (kto: per
// completion) takes its terms, a thread per pair brings their slopes back to the completions, and a warp or a
// block per completion writes its gradients. Reads 4 bytes a token, 8 with a reference, and the masks, writes
// 4; 2 to 4 f64 flops a token, about 100 a pair. A completion may be in many pairs: its slopes are added as
// whole numbers, in which the order does not matter, of a unit that the largest slope sets (2^-61 of what all
// of them could add up to).
#include <cmath>

#include "cuda/fault.cuh"
#include "cuda/preference_loss.cuh"
#include "cuda/table.h"
#include "rules/preference_metrics.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

struct PreferencePart {
  double loss, reward_chosen, reward_rejected, higher, margin, log_prob_chosen, log_prob_rejected, log_odds,
      log_sigmoid_odds, nll, nll_tokens, desirable;
};

struct Extremes {
  double least, most, slope;
};

struct Totals {
  double baseline;
  double nll_share;
  double unit, units;  // of a slope as a whole number, and its inverse
};

SIMT_KERNEL preference_rows_kernel(RowRange range, PreferenceBatch<float> batch, CompletionSums* rows) {
  for_rows_of_block(range, [&](const auto& team, std::int64_t row) {
    CompletionSums sums{};
    for (std::int64_t t = range.cu_seqlens[row] + team.rank(); t < range.cu_seqlens[row + 1];
         t += team.size()) {
      const bool counted = !batch.mask || batch.mask[t];
      const bool likely = batch.nll_mask ? batch.nll_mask[t] != 0 : counted;
      if (!counted && !likely) continue;
      const double log_prob = batch.log_probs[t];
      if (counted) {
        sums.log_prob += log_prob;
        sums.tokens += 1;
        if (batch.reference_log_probs) sums.reference += batch.reference_log_probs[t];
      }
      if (likely) {
        sums.nll += log_prob;
        sums.nll_tokens += 1;
      }
    }
    const CompletionSums whole{team.sum(sums.log_prob), team.sum(sums.reference), team.sum(sums.tokens),
                               team.sum(sums.nll), team.sum(sums.nll_tokens)};
    if (team.rank() == 0) rows[row] = whole;
  });
}

SIMT_KERNEL preference_baseline_kernel(PreferenceBatch<float> batch, Totals* totals) {
  double sum = 0;
  for (std::size_t i = simt::thread(); i < batch.mismatched; i += simt::threads())
    sum += static_cast<double>(batch.mismatched_log_probs[i]) - batch.mismatched_reference_log_probs[i];
  sum = block_sum(sum);
  if (simt::thread() != 0) return;
  totals->baseline = batch.kl_baseline;
  if (batch.mismatched_log_probs)
    totals->baseline = batch.mismatched > 0 ? fmax(sum / static_cast<double>(batch.mismatched), 0.0) : 0;
}

SIMT_DEVICE void take_pair(const PreferenceView& view, std::int64_t pair, PreferencePart& part,
                           Extremes& extremes, FaultKey* fault) {
  const PreferenceRule& rule = view.rule;
  const PreferenceBatch<float>& batch = view.batch;
  const PreferenceSide good = side_of(view, batch.chosen[pair]), bad = side_of(view, batch.rejected[pair]);
  const Score<double> chosen = score_of_side(view, good), rejected = score_of_side(view, bad);
  const double weight = batch.weights ? view.each * batch.weights[pair] : view.each;
  PairLoss<double> loss{0, 0, 0};
  if (rule.kind == PreferenceKind::orpo) {
    if (!(chosen.value < 0) || !(rejected.value < 0)) {
      note_fault(fault, FaultKind::probability_one, pair);
      return;
    }
    const OddsLoss<double> odds = odds_loss(rule, chosen.value, rejected.value);
    loss = odds.pair;
    part.log_odds = odds.log_odds;
    part.log_sigmoid_odds = odds.log_sigmoid_odds;
  } else if (!view.matched_losses) {
    loss = pair_loss(rule, chosen.value, rejected.value, batch.margins ? batch.margins[pair] : 0.0);
  }
  const double centre = view.each * rule.center_coefficient, both = chosen.value + rejected.value;
  part.loss = weight * loss.value + centre * both * both;
  double chosen_slope = (weight * loss.chosen + 2 * centre * both) * chosen.slope;
  double rejected_slope = (weight * loss.rejected + 2 * centre * both) * rejected.slope;
  if (view.matched_losses) {  // of log-probs and log ratios, not of scores
    part.loss += view.matched_losses[pair];
    chosen_slope += view.chosen_slopes[pair];
    rejected_slope += view.rejected_slopes[pair];
  }
  view.chosen_slopes[pair] = chosen_slope;
  view.rejected_slopes[pair] = rejected_slope;
  part.reward_chosen = rule.beta * (batch.reference_log_probs ? good.log_ratio : chosen.value);
  part.reward_rejected = rule.beta * (batch.reference_log_probs ? bad.log_ratio : rejected.value);
  part.higher = part.reward_chosen > part.reward_rejected ? 1 : 0;
  part.margin = part.reward_chosen - part.reward_rejected;
  part.log_prob_chosen = good.log_prob;
  part.log_prob_rejected = bad.log_prob;
  part.nll = good.nll;
  part.nll_tokens = good.nll_tokens;
  extremes = {fmin(part.reward_chosen, part.reward_rejected), fmax(part.reward_chosen, part.reward_rejected),
              fmax(fabs(chosen_slope), fabs(rejected_slope))};
}

SIMT_DEVICE void take_single(const PreferenceView& view, double baseline, std::int64_t row,
                             PreferencePart& part) {
  const PreferenceRule& rule = view.rule;
  const PreferenceBatch<float>& batch = view.batch;
  const bool good = batch.desirable[row] != 0;
  const PreferenceSide side = side_of(view, row);
  const Score<double> score = score_of_side(view, side);
  double weight = view.each * (good ? rule.desirable_weight : rule.undesirable_weight);
  if (batch.weights) weight *= batch.weights[row];
  const Score<double> term = single_loss(rule, score.value, baseline, good ? 1.0 : -1.0);
  part.loss = weight * term.value;
  view.chosen_slopes[row] = weight * term.slope * score.slope;
  part.desirable = good ? 1 : 0;
  (good ? part.reward_chosen : part.reward_rejected) = rule.beta * side.log_ratio;
  (good ? part.log_prob_chosen : part.log_prob_rejected) = side.log_prob;
}

SIMT_KERNEL preference_terms_kernel(PreferenceView view, const Totals* totals, PreferencePart* parts,
                                    Extremes* extremes, FaultKey* fault) {
  const std::int64_t term = simt::block() * simt::threads() + simt::thread();
  PreferencePart part{};
  Extremes mine{INFINITY, -INFINITY, 0};
  if (term < view.terms) {
    if (view.rule.kind == PreferenceKind::kto)
      take_single(view, totals->baseline, term, part);
    else
      take_pair(view, term, part, mine, fault);
  }
  part = block_sum_fields(part);
  mine = {block_reduce(mine.least, Smaller{}), block_reduce(mine.most, Larger{}),
          block_reduce(mine.slope, Larger{})};
  if (simt::thread() != 0) return;
  parts[simt::block()] = part;
  extremes[simt::block()] = mine;
}

// Of whole numbers of 62 bits, for `terms` pairs whose slopes are at most `slope`.
SIMT_DEVICE void set_unit(double slope, std::int64_t terms, Totals* totals) {
  int bits = 1;
  while ((std::int64_t{1} << bits) < 2 * terms) ++bits;
  totals->unit = totals->units = 1;
  if (slope > 0) {
    int exponent = 62 - (slope < INFINITY ? ilogb(slope) : 0) - 1 - bits;
    exponent = exponent < -1000 ? -1000 : exponent > 1000 ? 1000 : exponent;
    totals->units = ldexp(1.0, exponent);
    totals->unit = ldexp(1.0, -exponent);
  }
  if (!(slope < INFINITY)) totals->unit = NAN;
}

SIMT_KERNEL preference_finish_kernel(PreferenceView view, const PreferencePart* parts,
                                     const Extremes* extremes, std::int64_t count, Totals* totals,
                                     PreferenceValue* result) {
  PreferencePart sums{};
  Extremes ends{INFINITY, -INFINITY, 0};
  for (std::int64_t i = simt::thread(); i < count; i += simt::threads()) {
    const auto* from = reinterpret_cast<const double*>(&parts[i]);
    auto* to = reinterpret_cast<double*>(&sums);
    for (std::size_t field = 0; field < sizeof(PreferencePart) / sizeof(double); ++field)
      to[field] += from[field];
    ends = {fmin(ends.least, extremes[i].least), fmax(ends.most, extremes[i].most),
            fmax(ends.slope, extremes[i].slope)};
  }
  sums = block_sum_fields(sums);
  ends = {block_reduce(ends.least, Smaller{}), block_reduce(ends.most, Larger{}),
          block_reduce(ends.slope, Larger{})};
  if (simt::thread() != 0) return;
  const auto terms = static_cast<double>(view.terms);
  *result = {};
  result->loss = sums.loss;
  PreferenceMetrics& metrics = result->metrics;
  totals->nll_share = 0;
  if (view.rule.kind == PreferenceKind::kto) {
    metrics.kl = totals->baseline;
    return single_means(sums, sums.desirable, terms - sums.desirable, metrics);
  }
  pair_means(sums, terms, ends.least, ends.most, metrics);
  metrics.nll = mean_or_nan(-sums.nll, sums.nll_tokens);
  set_unit(ends.slope, view.terms, totals);
  const double tokens = view.batch.batch_tokens >= 0 ? view.batch.batch_tokens : sums.nll_tokens;
  if (view.rule.nll_coefficient == 0 || !(tokens > 0)) return;
  totals->nll_share = view.rule.nll_coefficient / tokens;
  result->loss -= totals->nll_share * sums.nll;
}

SIMT_KERNEL preference_zero_kernel(PreferenceView view) {
  const std::int64_t row = simt::block() * simt::threads() + simt::thread();
  if (row >= static_cast<std::int64_t>(view.batch.completions)) return;
  view.slopes[row] = 0;
  if (view.times_chosen) view.times_chosen[row] = 0;
}

SIMT_KERNEL preference_gather_kernel(PreferenceView view, const Totals* totals) {
  const std::int64_t pair = simt::block() * simt::threads() + simt::thread();
  if (pair >= view.terms) return;
  const auto whole = [&](double slope) {
    return static_cast<Whole>(static_cast<std::int64_t>(rint(slope * totals->units)));
  };
  const std::int32_t good = view.batch.chosen[pair], bad = view.batch.rejected[pair];
  simt::atomic_add(&view.slopes[good], whole(view.chosen_slopes[pair]));
  simt::atomic_add(&view.slopes[bad], whole(view.rejected_slopes[pair]));
  if (view.times_chosen) simt::atomic_add(&view.times_chosen[good], std::int32_t{1});
}

struct RowGradient {
  double ranked, likelihood;
};

SIMT_DEVICE RowGradient gradient_of(const PreferenceView& view, const Totals& totals, std::int64_t row) {
  double slope = 0, likelihood = 0;
  if (view.slopes) {
    slope = static_cast<double>(static_cast<std::int64_t>(view.slopes[row])) * totals.unit;
    if (view.times_chosen) likelihood = totals.nll_share * view.times_chosen[row];
  } else {
    slope = view.chosen_slopes[row];
  }
  const bool mean = view.rule.length_normalization == LengthNormalization::log_prob;
  return {mean ? slope / fmax(tokens_of(view, row), 1.0) : slope, likelihood};
}

SIMT_KERNEL preference_write_kernel(PreferenceView view, const Totals* totals, float* gradients) {
  const std::int64_t row = simt::block() * simt::threads() + simt::thread();
  if (row >= static_cast<std::int64_t>(view.batch.completions)) return;
  const RowGradient one = gradient_of(view, *totals, row);
  gradients[row] = static_cast<float>(one.ranked - one.likelihood);
}

SIMT_KERNEL preference_write_tokens_kernel(RowRange range, PreferenceView view, const Totals* totals,
                                           float* gradients) {
  const PreferenceBatch<float>& batch = view.batch;
  for_rows_of_block(range, [&](const auto& team, std::int64_t row) {
    const RowGradient one = gradient_of(view, *totals, row);
    for (std::int64_t t = range.cu_seqlens[row] + team.rank(); t < range.cu_seqlens[row + 1];
         t += team.size()) {
      const bool counted = !batch.mask || batch.mask[t];
      const bool likely = batch.nll_mask ? batch.nll_mask[t] != 0 : counted;
      gradients[t] = static_cast<float>((counted ? one.ranked : 0) - (likely ? one.likelihood : 0));
    }
  });
}

int preference_loss(const PreferenceRule& rule, const PreferenceBatch<float>& batch, std::int64_t,
                    float* gradients, PreferenceValue* value, Fault* fault, Launch& launch) {
  const bool sorts = rule.kind == PreferenceKind::aot || rule.kind == PreferenceKind::aot_unpaired;
  const bool single = rule.kind == PreferenceKind::kto;
  const auto completions = static_cast<std::int64_t>(batch.completions);
  PreferenceView view{};
  view.rule = rule;
  view.batch = batch;
  view.terms = single ? completions : static_cast<std::int64_t>(batch.pairs);
  const double size = batch.batch_size >= 0 ? batch.batch_size : static_cast<double>(view.terms);
  view.each = size > 0 ? 1 / size : 0;
  Enqueue enqueue(launch, 256);
  const std::int64_t term_blocks = blocks_of(view.terms, enqueue.threads());
  const std::int64_t row_blocks = blocks_of(completions, enqueue.threads());
  auto* const parts = enqueue.take<PreferencePart>(term_blocks);
  auto* const extremes = enqueue.take<Extremes>(term_blocks);
  auto* const totals = enqueue.take<Totals>(1);
  auto* const key = enqueue.take<FaultKey>(1);
  view.chosen_slopes = enqueue.take<double>(view.terms);
  if (batch.cu_seqlens) view.rows = enqueue.take<CompletionSums>(completions);
  if (!single) {
    view.rejected_slopes = enqueue.take<double>(view.terms);
    view.slopes = enqueue.take<Whole>(completions);
    if (rule.nll_coefficient != 0) view.times_chosen = enqueue.take<std::int32_t>(completions);
  }
  SortedPairs sorted{};
  if (sorts) {
    sorted = take_sorted_pairs(enqueue, view.terms);
    view.matched_losses = enqueue.take<double>(view.terms);
  }
  if (enqueue.stops()) return enqueue.status();
  const RowRange range = row_range(batch.cu_seqlens, completions, enqueue.threads());
  begin_faults(enqueue, key);
  if (view.rows) enqueue(ADJUDGE_NAMED(preference_rows_kernel), blocks_of(range), range, batch, view.rows);
  if (single) enqueue(ADJUDGE_NAMED(preference_baseline_kernel), 1, batch, totals);
  if (sorts) enqueue_sorted_pairs(enqueue, view, sorted);
  enqueue(ADJUDGE_NAMED(preference_terms_kernel), term_blocks, view, totals, parts, extremes, key);
  enqueue(ADJUDGE_NAMED(preference_finish_kernel), 1, view, parts, extremes, term_blocks, totals, value);
  if (!single) {
    enqueue(ADJUDGE_NAMED(preference_zero_kernel), row_blocks, view);
    enqueue(ADJUDGE_NAMED(preference_gather_kernel), term_blocks, view, totals);
  }
  if (view.rows)
    enqueue(ADJUDGE_NAMED(preference_write_tokens_kernel), blocks_of(range), range, view, totals, gradients);
  else
    enqueue(ADJUDGE_NAMED(preference_write_kernel), row_blocks, view, totals, gradients);
  end_faults(enqueue, key, fault);
  return enqueue.status();
}

}  // namespace

void add_preference_loss(Kernels& table) { table.preference_loss = preference_loss; }

}  // namespace adjudge::cuda
