#pragma once

#include "rules/mismatch_terms.h"

// What rows tell of themselves, and the measures of a batch that are made of it: the same code for one thread
// of the processor and for a block of a GPU. A team has rank(), size(), and sum and reduce over its threads,
// whose results are in every thread.
namespace adjudge::rl {

// One thread.
struct Alone {
  static constexpr int rank() { return 0; }
  static constexpr int size() { return 1; }
  static double sum(double value) { return value; }
  template <typename Combine>
  static double reduce(double value, Combine) {
    return value;
  }
};

struct Least {
  ADJUDGE_DEVICE double operator()(double a, double b) const { return b < a ? b : a; }
};

struct Largest {
  ADJUDGE_DEVICE double operator()(double a, double b) const { return a < b ? b : a; }
};

// Of a row's counted tokens.
struct WeightPart {
  double counted = 0;
  double log_sum = 0;    // of log ratios
  double statistic = 0;  // what the band judges, where that is the row
  double weight = 0;     // of the sequence, as applied
  double applied = 0;    // sums
  double raw = 0;
  double cut = 0;
  double cut_squares = 0;
  double minimum = HUGE_VAL;  // as applied
  double maximum = -HUGE_VAL;
  double high = 0;  // tokens beyond the marks of the band, and outside it
  double low = 0;
  double outside = 0;
};

// The row's sums are known: its statistic, and the weight of its sequence. `divergence`: sum of the gate's.
ADJUDGE_DEVICE void weigh_sequence(const WeightRule& rule, double divergence, WeightPart& part) {
  const double raw = growth_lanes(within_lanes(part.log_sum, rule.log_ratio_limit));
  if (gate_of_row(rule)) {
    const double divisor = part.counted + rule.count_epsilon;
    part.statistic = part.counted > 0 ? divergence / divisor : 0;
    if (rule.gate == WeightGate::weight) part.statistic = raw;
    if (rule.gate == WeightGate::geometric_mean) {
      part.statistic = part.counted > 0 ? exp(part.log_sum / divisor) : 1;
    }
  }
  if (rule.level != WeightLevel::sequence) return;
  part.weight = banded_lanes(rule, raw, gate_of_row(rule) ? part.statistic : raw);
  part.raw = part.counted * raw;
}

ADJUDGE_DEVICE double mean_of(double sum, double count, double count_epsilon = 0) {
  return count > 0 ? sum / (count + count_epsilon) : 0;
}

// What is said of a list of values, one per row; value(i) is called twice. Deviation with n - 1; 0 for fewer
// than two values.
struct RowSummary {
  double mean, deviation, maximum, minimum;
};

template <typename Team, typename Value, typename Counts>
ADJUDGE_TEAM RowSummary summary_of_rows(const Team& team, std::int64_t rows, const Value& value,
                                        const Counts& counts) {
  double count = 0, sum = 0, most = -HUGE_VAL, least = HUGE_VAL, squares = 0;
  for (std::int64_t i = team.rank(); i < rows; i += team.size()) {
    if (!counts(i)) continue;
    const double x = value(i);
    count += 1;
    sum += x;
    most = maximum(most, x);
    least = minimum(least, x);
  }
  count = team.sum(count);
  const double mean = mean_of(team.sum(sum), count);
  most = team.reduce(most, Largest{});
  least = team.reduce(least, Least{});
  for (std::int64_t i = team.rank(); i < rows; i += team.size()) {
    if (counts(i)) squares += (value(i) - mean) * (value(i) - mean);
  }
  squares = team.sum(squares);
  if (count == 0) return {0, 0, 0, 0};
  return {mean, count > 1 ? sqrt(squares / (count - 1)) : 0, most, least};
}

template <typename Team>
ADJUDGE_TEAM WeightMetrics weight_totals(const Team& team, const WeightRule& rule, const WeightPart* parts,
                                         std::int64_t rows) {
  const double epsilon = rule.count_epsilon;
  const bool sequence = rule.level == WeightLevel::sequence, row_gate = gate_of_row(rule);
  const auto row_mean = [&](std::int64_t i) { return mean_of(parts[i].applied, parts[i].counted, epsilon); };
  const auto every = [](std::int64_t) { return true; };
  double counted = 0, applied = 0, cut = 0, cut_squares = 0, high = 0, low = 0, outside = 0, units = 0;
  double outside_tokens = 0, scored = 0, scored_rows = 0, raw_high = 0, raw_low = 0, drift = 0;
  double least = HUGE_VAL, most = -HUGE_VAL;
  for (std::int64_t i = team.rank(); i < rows; i += team.size()) {
    const WeightPart& part = parts[i];
    counted += part.counted;
    applied += part.applied;
    cut += part.cut;
    cut_squares += part.cut_squares;
    outside_tokens += part.outside;
    least = minimum(least, part.minimum);
    most = maximum(most, part.maximum);
    if (row_gate) {
      units += 1;
      high += part.statistic > rule.high ? 1 : 0;
      low += part.statistic < low_mark(rule) ? 1 : 0;
      outside += outside_lanes(part.statistic, rule.low, rule.high) ? 1 : 0;
    } else {
      units += part.counted;
      high += part.high;
      low += part.low;
      outside += part.outside;
    }
    if (part.counted > 0) {
      scored += row_mean(i);
      scored_rows += 1;
    }
    const double raw_mean = mean_of(part.raw, part.counted, epsilon);
    raw_high += raw_mean > rule.high ? 1 : 0;
    raw_low += raw_mean < low_mark(rule) ? 1 : 0;
    drift = maximum(drift, fabs(row_mean(i) - 1));
  }
  counted = team.sum(counted);
  units = team.sum(units);
  least = team.reduce(least, Least{});
  most = team.reduce(most, Largest{});
  const double cut_mean = mean_of(team.sum(cut), counted, epsilon);
  const double square_mean = mean_of(team.sum(cut_squares), counted, epsilon);
  const double unit_epsilon = row_gate ? 0 : epsilon;  // a share of rows counts all rows as they are
  const double all_rows = static_cast<double>(rows);
  WeightMetrics metrics;
  metrics.token_mean = metrics.mean = mean_of(team.sum(applied), counted, epsilon);
  if (counted > 0) {
    metrics.minimum = metrics.raw_minimum = least;
    metrics.maximum = metrics.raw_maximum = most;
  }
  metrics.fraction_high = mean_of(team.sum(high), units, unit_epsilon);
  metrics.fraction_low = mean_of(team.sum(low), units, unit_epsilon);
  metrics.outside = mean_of(team.sum(outside), units, unit_epsilon);
  metrics.outside_tokens = mean_of(team.sum(outside_tokens), counted, epsilon);
  if (counted > 1) metrics.deviation = sqrt(maximum(square_mean - cut_mean * cut_mean, 0.0));
  if (square_mean > 0) {
    metrics.effective_sample_size = (cut_mean + epsilon) * (cut_mean + epsilon) / square_mean;
  }
  const RowSummary means = summary_of_rows(team, rows, row_mean, every);
  metrics.sequence_mean = means.mean;
  metrics.sequence_deviation = means.deviation;
  metrics.sequence_maximum = means.maximum;
  metrics.sequence_minimum = means.minimum;
  metrics.sequence_max_deviation = team.reduce(drift, Largest{});
  raw_high = team.sum(raw_high);
  raw_low = team.sum(raw_low);
  if (rule.gate == WeightGate::weight) {
    metrics.sequence_fraction_high = mean_of(raw_high, all_rows);
    metrics.sequence_fraction_low = mean_of(raw_low, all_rows);
  }
  const auto weight = [&](std::int64_t i) { return parts[i].weight; };
  const auto log_sum = [&](std::int64_t i) { return parts[i].log_sum; };
  if (sequence) {
    const RowSummary weights = summary_of_rows(team, rows, weight, every);
    const RowSummary logs = summary_of_rows(team, rows, log_sum, every);
    metrics.minimum = weights.minimum;
    metrics.mean = weights.mean;
    metrics.maximum = weights.maximum;
    metrics.raw_minimum = exp(logs.minimum);
    metrics.raw_maximum = exp(minimum(logs.maximum, rule.log_ratio_limit));
  }
  scored = team.sum(scored);
  scored_rows = team.sum(scored_rows);
  if (rule.normalize) {
    const double mean = sequence ? mean_of(scored, scored_rows) : metrics.token_mean;
    if (mean > 1e-8) metrics.normalizer = mean;
  }
  return metrics;
}

// Of a row's counted tokens, for one criterion.
struct RejectionPart {
  double counted = 0;
  double sum = 0;  // of the tokens' statistics
  double maximum = -HUGE_VAL;
  double minimum = HUGE_VAL;
  double statistic = 0;  // of the row; for tokens their mean
  double above = 0;      // tokens, by their own statistic or their row's
  double below = 0;
  double cut = 0;
  double cut_squares = 0;
  double masked = 0;
  double rejected = 0;  // 1: something of the row is
};

// The row's sums are known: its statistic, and for a row that is judged as one its fate.
ADJUDGE_DEVICE void judge_row(const Criterion& criterion, const StatisticBand& band, double count_epsilon,
                              bool spared, RejectionPart& part) {
  part.statistic = mean_of(part.sum, part.counted, count_epsilon);
  if (criterion.level == RejectionLevel::token) return;
  if (criterion.level == RejectionLevel::sequence_sum) part.statistic = part.sum;
  if (criterion.level == RejectionLevel::sequence_max) part.statistic = part.counted > 0 ? part.maximum : 0;
  const double cut = minimum(maximum(part.statistic, band.low), band.high);
  part.rejected = !spared && outside_lanes(part.statistic, band.low, band.high) ? 1 : 0;
  part.sum = part.counted * part.statistic;
  part.maximum = part.minimum = part.statistic;
  part.above = part.statistic > band.high ? part.counted : 0;
  part.below = part.statistic < band.low ? part.counted : 0;
  part.cut = part.counted * cut;
  part.cut_squares = part.counted * cut * cut;
  part.masked = part.counted * part.rejected;
}

template <typename Team>
ADJUDGE_TEAM CriterionMetrics criterion_totals(const Team& team, const Criterion& criterion,
                                               double count_epsilon, const RejectionPart* parts,
                                               std::int64_t rows) {
  const StatisticBand band = statistic_band(criterion);
  const auto counts = [&](std::int64_t i) { return parts[i].counted > 0; };
  const auto statistic = [&](std::int64_t i) { return parts[i].statistic; };
  double counted = 0, sum = 0, above = 0, below = 0, cut = 0, cut_squares = 0, masked = 0;
  double rows_counted = 0, rows_above = 0, rows_below = 0, rows_masked = 0, farthest = 0;
  double least = HUGE_VAL, most = -HUGE_VAL;
  for (std::int64_t i = team.rank(); i < rows; i += team.size()) {
    const RejectionPart& part = parts[i];
    if (part.counted == 0) continue;
    counted += part.counted;
    sum += part.sum;
    above += part.above;
    below += part.below;
    cut += part.cut;
    cut_squares += part.cut_squares;
    masked += part.masked;
    least = minimum(least, part.minimum);
    most = maximum(most, part.maximum);
    rows_counted += 1;
    rows_above += part.statistic > band.high ? 1 : 0;
    rows_below += part.statistic < band.low ? 1 : 0;
    rows_masked += part.rejected;
    farthest = maximum(farthest, fabs(part.statistic));
  }
  counted = team.sum(counted);
  rows_counted = team.sum(rows_counted);
  const bool by_token = criterion.level == RejectionLevel::token;
  const double cut_mean = mean_of(team.sum(cut), counted, count_epsilon);
  const double square_mean = mean_of(team.sum(cut_squares), counted, count_epsilon);
  CriterionMetrics metrics;
  metrics.mean = mean_of(team.sum(sum), counted, count_epsilon);
  metrics.maximum = team.reduce(most, Largest{});
  metrics.minimum = team.reduce(least, Least{});
  metrics.sequence_max_deviation = team.reduce(farthest, Largest{});
  metrics.sequence_fraction_high = mean_of(team.sum(rows_above), rows_counted);
  metrics.sequence_fraction_low = mean_of(team.sum(rows_below), rows_counted);
  above = mean_of(team.sum(above), counted, count_epsilon);
  below = mean_of(team.sum(below), counted, count_epsilon);
  metrics.fraction_high = by_token ? above : metrics.sequence_fraction_high;
  metrics.fraction_low = by_token ? below : metrics.sequence_fraction_low;
  if (counted > 1) metrics.deviation = sqrt(maximum(square_mean - cut_mean * cut_mean, 0.0));
  const RowSummary summary = summary_of_rows(team, rows, statistic, counts);
  metrics.sequence_mean = summary.mean;
  metrics.sequence_deviation = summary.deviation;
  metrics.sequence_maximum = summary.maximum;
  metrics.sequence_minimum = summary.minimum;
  metrics.masked_fraction = mean_of(team.sum(masked), counted, count_epsilon);
  metrics.sequence_masked_fraction = mean_of(team.sum(rows_masked), rows_counted);
  return rows_counted > 0 ? metrics : CriterionMetrics{};
}

}  // namespace adjudge::rl
