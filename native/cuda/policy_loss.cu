// The policy loss: tokens chosen where the rule asks for it, rows, totals, then one sweep over the tokens and
// one over the blocks' sums. The sweep reads 8 to 20 bytes a token and writes 4 to 8 (8 more where a row's
// ratio is differentiated as a whole and its derivative is added at the row's end); about 100 f32 operations
// with one exponential, two with k3, and 8 f64 additions a token. A warp a row, or a block for a long one.
#include "cuda/policy_loss.cuh"

#include <cmath>

#include "cuda/policy_loss_selection.cuh"
#include "cuda/table.h"
#include "rules/kl_terms.h"
#include "rules/loss_terms.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

// Of a thread, of a block, of the batch.
struct LossSums {
  double loss, bonus, kl, entropy, ratio;
  double old_kl, old_kl_bounded, old_kl_absolute;
  double bound, selected;
  double clip_token, clip_low, clip_high, clip_dual;
  double phi, phi_count;
};

struct LossPart {
  LossSums sums;
  double ratio_max;
  double clip_low_min;  // infinite: no row
  double clip_high_max;
};

SIMT_DEVICE LossPart no_part() { return {{}, 0, INFINITY, 0}; }

SIMT_DEVICE LossPart block_part(LossPart part) {
  part.sums = block_sum_fields(part.sums);
  part.ratio_max = block_reduce(part.ratio_max, Larger{});
  part.clip_low_min = block_reduce(part.clip_low_min, Smaller{});
  part.clip_high_max = block_reduce(part.clip_high_max, Larger{});
  return part;
}

// What a row's tokens bring to it, in each thread.
struct RowSweep {
  double loss = 0;     // without the row's weight
  double entropy = 0;  // of tokens that teach
  double shared = 0;   // derivative with respect to the row's ratio, without the weight
  int low = 0;
  int high = 0;
  int dual = 0;
};

// One token; returns its gradient without the row's weight.
template <LossKind kind>
SIMT_DEVICE float sweep_token(const LossPlan& plan, const LossRow& row, std::int64_t t, float advantage,
                              RowSweep& own, LossPart& part) {
  const LossConstants& rule = plan.constants;
  const LossBatch<float>& batch = plan.batch;
  LossSums& sums = part.sums;
  TokenLanes<float> token{batch.log_probs[t], batch.old_log_probs[t], row.ratio, advantage, 1, false};
  const float change = token.log_prob - token.old_log_prob;
  float bounded = change, own_slope = row.own_slope;
  if (plan.by_token) {
    const RatioLanes<float> ratio = token_ratio(rule, change);
    token.ratio = ratio.value;
    own_slope = ratio.slope;
    bounded = ratio.bounded;
  }
  if constexpr (kind == LossKind::clip_cov || kind == LossKind::kl_cov) {
    token.selected = plan.selected[t] != 0;
    sums.selected += token.selected ? 1 : 0;
  }
  if constexpr (kind == LossKind::vespo) {
    token.row_weight = advantage < 0 ? row.phi_negative : row.phi_positive;
    if (batch.advantages_per_token) sums.phi += static_cast<double>(token.row_weight);
  }
  const TermLanes<float> term = loss_term_lanes(kind, rule, token);
  const bool teaches = !plan.teaches || plan.teaches[t] != 0;
  float factor = row.drifted && advantage < 0 ? 0.0f : 1.0f;
  float loss = 0, gradient = 0, row_slope = 0;
  if constexpr (kind == LossKind::gmpo) {
    loss = -advantage * row.mean * factor;
    const float slope = static_cast<float>(row.mean_slope);
    if (teaches) gradient = slope * held_log_ratio_lanes(rule, change, advantage).slope;
  } else {
    if constexpr (kind != LossKind::vespo) {
      if (batch.importance_weights) factor *= batch.importance_weights[t];
    }
    if (!teaches) factor = 0;
    loss = term.value * factor;
    gradient = (term.ratio_slope * own_slope + term.log_prob_slope) * factor;
    row_slope = term.ratio_slope * factor;
  }
  if (batch.reference_log_probs) {
    const KlLanes<float> kl =
        kl_lanes(rule.kl, token.log_prob, batch.reference_log_probs[t], token.old_log_prob);
    float value = kl.value, slope = kl.gradient;
    if (rule.kl.ratio_weighted) {
      value = kl.value * token.ratio;
      slope = kl.gradient * token.ratio + kl.value * own_slope;
      row_slope += rule.kl.coefficient * kl.value;
    }
    sums.kl += static_cast<double>(value);
    loss += rule.kl.coefficient * value;
    gradient += rule.kl.coefficient * slope;
  }
  if (batch.entropies) {
    const double entropy = batch.entropies[t];
    sums.entropy += entropy;
    if (teaches) own.entropy += entropy;
  }
  own.loss += static_cast<double>(loss);
  own.shared += static_cast<double>(row_slope);
  own.low += term.low ? 1 : 0;
  own.high += term.high ? 1 : 0;
  own.dual += term.dual ? 1 : 0;
  sums.bound += term.bound ? 1 : 0;
  sums.ratio += static_cast<double>(token.ratio);
  part.ratio_max = Larger{}(part.ratio_max, static_cast<double>(token.ratio));
  sums.old_kl -= static_cast<double>(change);
  sums.old_kl_bounded -= static_cast<double>(bounded);
  sums.old_kl_absolute += static_cast<double>(absolute(change));
  return gradient;
}

// A row without a counted token, where such rows count, has the loss of a ratio of 1.
template <LossKind kind>
SIMT_DEVICE void add_empty_row(const LossPlan& plan, const LossTotals& totals, std::int64_t row,
                               LossSums& sums) {
  if (plan.batch.advantages_per_token || !plan.aggregation.count_empty_rows) return;
  const float advantage = plan.batch.advantages[row];
  const GammaWeight& gamma = plan.gamma_weight;
  float phi = 1;
  if constexpr (kind == LossKind::vespo) {
    phi = advantage < 0 ? phi_of(gamma.shape_negative, gamma.rate_negative, 0)
                        : phi_of(gamma.shape_positive, gamma.rate_positive, 0);
    sums.phi += static_cast<double>(phi);
    sums.phi_count += 1;
  }
  if (plan.aggregation.kind != Aggregation::sequence_mean) return;
  const float value =
      kind == LossKind::gmpo
          ? -advantage
          : loss_term_lanes<float>(kind, plan.constants, {0, 0, 1, advantage, phi, false}).value;
  sums.loss += inverse(totals.whole.sequences) * static_cast<double>(value);
}

// Adds a row's clips: by tokens, or as one where the ratio is the row's.
SIMT_DEVICE void add_row_clips(const LossPlan& plan, const LossRow& row, double low, double high, double dual,
                               LossPart& part) {
  part.sums.clip_token += low + high;
  double units = row.counted;
  if (!plan.by_token) {
    low = low > 0 ? 1 : 0;
    high = high > 0 ? 1 : 0;
    dual = dual > 0 ? 1 : 0;
    units = 1;
  }
  part.sums.clip_low += low;
  part.sums.clip_high += high;
  part.sums.clip_dual += dual;
  if (units == 0) return;
  part.clip_low_min = Smaller{}(part.clip_low_min, low / units);
  part.clip_high_max = Larger{}(part.clip_high_max, high / units);
}

template <LossKind kind, typename Team>
SIMT_DEVICE void sweep_row(const LossPlan& plan, const LossTotals& totals, const LossRow& row,
                           std::int64_t index, const Team& team, float* gradients, float* entropy_gradients,
                           LossPart& part) {
  const std::int64_t begin = plan.batch.cu_seqlens[index], end = plan.batch.cu_seqlens[index + 1];
  const double weight = row_weight(plan.aggregation, totals.whole, row.counted);
  const float single_weight = static_cast<float>(weight);
  const double bonus = plan.bonus_by_token ? totals.bonus_weight : plan.entropy_coefficient * weight;
  const float entropy_gradient = static_cast<float>(-bonus);
  RowSweep own;
  for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) {
    const bool counted = counts(plan, t);
    float gradient = 0;
    if (counted) {
      gradient = single_weight * sweep_token<kind>(plan, row, t, advantage_of(plan, index, t), own, part);
    }
    gradients[t] = gradient;
    if (!entropy_gradients) continue;
    const bool explores = counted && plan.batch.entropies && (!plan.teaches || plan.teaches[t]);
    entropy_gradients[t] = explores ? entropy_gradient : 0.0f;
  }
  part.sums.loss += weight * own.loss;
  part.sums.bonus += bonus * own.entropy;
  const double low = team.sum(own.low), high = team.sum(own.high), dual = team.sum(own.dual);
  if (team.rank() == 0) {
    if (row.counted == 0) add_empty_row<kind>(plan, totals, index, part.sums);
    add_row_clips(plan, row, low, high, dual, part);
    if (kind == LossKind::vespo && row.counted > 0) {
      const bool each = plan.batch.advantages_per_token;
      if (!each)
        part.sums.phi +=
            static_cast<double>(plan.batch.advantages[index] < 0 ? row.phi_negative : row.phi_positive);
      part.sums.phi_count += each ? row.counted : 1;
    }
  }
  if (!plan.joint) return;
  const float step = static_cast<float>(weight * team.sum(own.shared) * row.slope);
  if (step == 0) return;
  // Each thread meets the tokens that it wrote.
  for (std::int64_t t = begin + team.rank(); t < end; t += team.size()) {
    if (counts(plan, t)) gradients[t] += step;
  }
}

template <LossKind kind>
SIMT_KERNEL loss_sweep_kernel(LossPlan plan, const LossRow* rows, const LossTotals* totals, float* gradients,
                              float* entropy_gradients, LossPart* parts) {
  const LossTotals whole = *totals;
  LossPart part = no_part();
  for_rows_of_block(plan.range, [&](auto team, std::int64_t row) {
    sweep_row<kind>(plan, whole, rows[row], row, team, gradients, entropy_gradients, part);
  });
  part = block_part(part);
  if (simt::thread() == 0) parts[simt::block()] = part;
}

SIMT_KERNEL loss_finish_kernel(LossPlan plan, const LossPart* parts, std::int64_t blocks,
                               const LossTotals* totals, LossValue* value) {
  LossPart total = no_part();
  for (std::int64_t i = simt::thread(); i < blocks; i += simt::threads()) {
    const auto* from = reinterpret_cast<const double*>(&parts[i].sums);
    auto* to = reinterpret_cast<double*>(&total.sums);
    for (std::size_t field = 0; field < sizeof(LossSums) / sizeof(double); ++field) to[field] += from[field];
    total.ratio_max = Larger{}(total.ratio_max, parts[i].ratio_max);
    total.clip_low_min = Smaller{}(total.clip_low_min, parts[i].clip_low_min);
    total.clip_high_max = Larger{}(total.clip_high_max, parts[i].clip_high_max);
  }
  total = block_part(total);
  if (simt::thread() != 0) return;
  const LossSums& sums = total.sums;
  const Counts& own = totals->own;
  const double per_token = inverse(own.tokens);
  const double per_clip_unit = plan.by_token ? per_token : inverse(static_cast<double>(plan.range.rows));
  LossMetrics metrics;
  metrics.tokens = own.tokens;
  metrics.sequences = own.sequences;
  metrics.clip_low = sums.clip_low * per_clip_unit;
  metrics.clip_high = sums.clip_high * per_clip_unit;
  metrics.clip_dual = sums.clip_dual * per_clip_unit;
  metrics.clip_low_min = total.clip_low_min < INFINITY ? total.clip_low_min : 0;
  metrics.clip_high_max = total.clip_high_max;
  metrics.clip_token = sums.clip_token * per_token;
  metrics.clip_bound = sums.bound * per_token;
  metrics.selected = sums.selected * per_token;
  metrics.phi = sums.phi * inverse(sums.phi_count);
  metrics.policy_loss = sums.loss;
  metrics.kl = sums.kl * per_token;
  metrics.entropy = sums.entropy * per_token;
  metrics.ratio_mean = sums.ratio * per_token;
  metrics.ratio_max = total.ratio_max;
  metrics.old_kl = sums.old_kl * per_token;
  metrics.old_kl_bounded = sums.old_kl_bounded * per_token;
  metrics.old_kl_absolute = sums.old_kl_absolute * per_token;
  value->loss = sums.loss - sums.bonus;
  value->metrics = metrics;
}

using Sweep = void (*)(LossPlan, const LossRow*, const LossTotals*, float*, float*, LossPart*);

Sweep sweep_of(LossKind kind) {
  switch (kind) {
    case LossKind::policy_gradient:
      return loss_sweep_kernel<LossKind::policy_gradient>;
    case LossKind::clip:
      return loss_sweep_kernel<LossKind::clip>;
    case LossKind::cispo:
      return loss_sweep_kernel<LossKind::cispo>;
    case LossKind::sapo:
      return loss_sweep_kernel<LossKind::sapo>;
    case LossKind::vespo:
      return loss_sweep_kernel<LossKind::vespo>;
    case LossKind::gmpo:
      return loss_sweep_kernel<LossKind::gmpo>;
    case LossKind::dppo_tv:
      return loss_sweep_kernel<LossKind::dppo_tv>;
    case LossKind::dppo_kl:
      return loss_sweep_kernel<LossKind::dppo_kl>;
    case LossKind::dro:
      return loss_sweep_kernel<LossKind::dro>;
    case LossKind::clip_cov:
      return loss_sweep_kernel<LossKind::clip_cov>;
    case LossKind::kl_cov:
      return loss_sweep_kernel<LossKind::kl_cov>;
  }
  return nullptr;
}

LossPlan plan_of(const LossRule& rule, const LossBatch<float>& batch, int threads) {
  LossPlan plan{};
  plan.constants = loss_constants(rule);
  plan.batch = batch;
  plan.aggregation = rule.aggregation;
  plan.gamma_weight = rule.gamma_weight;
  plan.log_ratio_low = rule.log_ratio_low;
  plan.log_ratio_high = rule.log_ratio_high;
  plan.off_policy_threshold = rule.off_policy_threshold;
  plan.entropy_coefficient = rule.entropy_coefficient;
  plan.range = row_range(batch.cu_seqlens, static_cast<std::int64_t>(batch.rows), threads);
  plan.by_token = rule.ratio == Ratio::token;
  plan.mean_ratio = rule.ratio == Ratio::sequence;
  plan.joint = !plan.by_token && rule.ratio_gradient == RatioGradient::joint;
  plan.drift = rule.off_policy_threshold < INFINITY;
  plan.bonus_by_token = rule.entropy_token_mean;
  return plan;
}

int policy_loss(const LossRule& rule, const LossBatch<float>& batch, std::int64_t tokens,
                const std::uint8_t* selected, float* log_prob_gradients, float* entropy_gradients,
                LossValue* value, Launch& launch) {
  // A draw by the bits of all log-probs in their order is no work for many threads.
  if (rule.kind == LossKind::clip_cov && !selected && tokens > 0) return rule_not_computed;
  Enqueue enqueue(launch, 256);
  LossPlan plan = plan_of(rule, batch, enqueue.threads());
  plan.selected = selected;
  LossSelection selection(enqueue, rule, batch, tokens, selected == nullptr);
  const std::int64_t blocks = blocks_of(plan.range);
  auto* const rows = enqueue.take<LossRow>(plan.range.rows);
  auto* const totals = enqueue.take<LossTotals>(1);
  auto* const parts = enqueue.take<LossPart>(blocks);
  if (enqueue.stops()) return enqueue.status();
  selection.choose(plan);
  enqueue_loss_rows(enqueue, plan, rows);
  enqueue_loss_totals(enqueue, plan, rows, selection.taught(), totals);
  enqueue("loss_sweep_kernel", sweep_of(rule.kind), blocks, plan, rows, totals, log_prob_gradients,
          entropy_gradients, parts);
  enqueue.with(ADJUDGE_NAMED(loss_finish_kernel), {1, enqueue.threads(), 0}, plan, parts, blocks, totals,
               value);
  return enqueue.status();
}

}  // namespace

void add_policy_loss(Kernels& table) { table.policy_loss = policy_loss; }

}  // namespace adjudge::cuda
