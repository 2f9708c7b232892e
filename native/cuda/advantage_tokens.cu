// Advantages per token: a warp per row for its sums and rewards, the recurrence of gae.cu, whitening over the
// counted tokens of scored rows (one pass for the moments of rows, one to apply).
#include <cmath>

#include "cuda/advantage.cuh"
#include "cuda/gae.cuh"
#include "cuda/spread.cuh"

namespace adjudge::cuda {
namespace {

using namespace rl;

SIMT_DEVICE bool counts(const AdvantageBatch<float>& batch, std::int64_t t) {
  return !batch.mask || batch.mask[t];
}

SIMT_KERNEL row_sums_kernel(AdvantageView view, double* penalties, double* lengths) {
  const std::int64_t row = simt::block();
  double penalty = 0, length = 0;
  for (std::int64_t t = view.batch.cu_seqlens[row] + simt::lane(); t < view.batch.cu_seqlens[row + 1];
       t += simt::warp_size) {
    if (!counts(view.batch, t)) continue;
    if (penalties) penalty += view.batch.penalties[t];
    length += 1;
  }
  penalty = warp_sum(penalty);
  length = warp_sum(length);
  if (simt::lane() != 0) return;
  if (penalties) penalties[row] = penalty;
  if (lengths) lengths[row] = length;
}

SIMT_KERNEL token_rewards_kernel(AdvantageView view, const double* outcomes, const std::uint8_t* scored,
                                 float* rewards) {
  const std::int64_t row = simt::block();
  const std::int64_t begin = view.batch.cu_seqlens[row];
  const std::int64_t end = view.batch.cu_seqlens[row + 1];
  if (!scored[row]) return;
  std::int64_t last = -1;
  for (std::int64_t t = begin + simt::lane(); t < end; t += simt::warp_size) {
    if (counts(view.batch, t)) last = t;
  }
  last = warp_reduce(last, Larger{});
  const bool penalised = view.batch.penalties && view.rule.penalty_per_token;
  for (std::int64_t t = begin + simt::lane(); t < end; t += simt::warp_size) {
    if (!counts(view.batch, t)) continue;
    const double outcome = t == last ? outcomes[row] : 0;
    rewards[t] = static_cast<float>(outcome - (penalised ? view.batch.penalties[t] : 0));
  }
}

SIMT_KERNEL row_moments_kernel(AdvantageView view, const std::uint8_t* scored, const float* values,
                               double* row_moments) {
  const std::int64_t row = simt::block();
  MomentsOfThread moments{};
  for (std::int64_t t = view.batch.cu_seqlens[row] + simt::lane(); t < view.batch.cu_seqlens[row + 1];
       t += simt::warp_size) {
    if (scored[row] && counts(view.batch, t)) moments.add(values[t]);
  }
  const Moments whole = block_moments(moments.result());
  if (simt::lane() != 0) return;
  row_moments[3 * row] = whole.count;
  row_moments[3 * row + 1] = whole.mean;
  row_moments[3 * row + 2] = whole.squares;
}

SIMT_KERNEL whitening_kernel(Whitening rule, const double* row_moments, std::int64_t rows, double* whitening,
                             FaultKey* fault) {
  Moments moments = no_moments();
  for (std::int64_t i = simt::thread(); i < rows; i += simt::threads()) {
    moments = merged(moments, {row_moments[3 * i], row_moments[3 * i + 1], row_moments[3 * i + 2]});
  }
  moments = block_moments(moments);
  if (simt::thread() != 0) return;
  whitening[0] = 0;
  whitening[1] = 1;
  const double count = moments.count;
  if (count == 0) return;
  if (rule.scale && rule.bessel && count < 2) {
    note_fault(fault, FaultKind::whitening_too_small, 0);
    return;
  }
  const double mean = moments.mean * (count / (count + rule.count_epsilon));
  const double shift = moments.mean - mean;
  double variance = (moments.squares + count * shift * shift) / (count + rule.count_epsilon);
  if (rule.bessel && count > 1) variance *= count / (count - 1);
  const bool add = rule.epsilon_rule == EpsilonRule::add;
  const double inside = add ? variance + rule.epsilon : (variance > rule.epsilon ? variance : rule.epsilon);
  whitening[0] = mean;
  if (rule.scale) whitening[1] = 1 / sqrt(inside);
}

SIMT_KERNEL whiten_kernel(AdvantageView view, const std::uint8_t* scored, const double* whitening,
                          float* values) {
  const std::int64_t row = simt::block();
  if (!scored[row]) return;
  for (std::int64_t t = view.batch.cu_seqlens[row] + simt::lane(); t < view.batch.cu_seqlens[row + 1];
       t += simt::warp_size) {
    if (counts(view.batch, t)) values[t] = static_cast<float>((values[t] - whitening[0]) * whitening[1]);
  }
}

}  // namespace

void enqueue_row_sums(Enqueue& enqueue, const AdvantageView& view, double* penalties, double* lengths) {
  enqueue.with(ADJUDGE_NAMED(row_sums_kernel), {view.completions, simt::warp_size, 0}, view, penalties,
               lengths);
}

void enqueue_token_advantages(Enqueue& enqueue, const AdvantageView& view, const TokenAdvantages& tokens,
                              float* advantages, float* returns, FaultKey* fault) {
  const simt::Grid rows{view.completions, simt::warp_size, 0};
  enqueue.with(ADJUDGE_NAMED(token_rewards_kernel), rows, view, tokens.outcomes, tokens.scored,
               tokens.token_rewards);
  const AdvantageRule& rule = view.rule;
  const bool estimated = rule.estimator == Estimator::gae;
  const GaeRule steps{rule.gamma, estimated ? rule.lambda : 1, rule.masked_return == MaskedReturn::skip};
  const GaeRows sequences{tokens.token_rewards,
                          estimated ? view.batch.values : nullptr,
                          view.batch.cu_seqlens,
                          view.completions,
                          view.batch.mask,
                          tokens.scored,
                          nullptr};
  enqueue_gae(enqueue, enqueue.threads(), steps, sequences, advantages, estimated ? returns : nullptr);
  if (rule.baseline == Baseline::optimal_token) {
    enqueue_optimal_token_baseline(enqueue, view, tokens.optimal, tokens.scored, advantages);
  }
  if (!rule.whitening.enabled) return;
  enqueue.with(ADJUDGE_NAMED(row_moments_kernel), rows, view, tokens.scored, advantages, tokens.row_moments);
  enqueue(ADJUDGE_NAMED(whitening_kernel), 1, rule.whitening, tokens.row_moments, view.completions,
          tokens.whitening, fault);
  enqueue.with(ADJUDGE_NAMED(whiten_kernel), rows, view, tokens.scored, tokens.whitening, advantages);
}

}  // namespace adjudge::cuda
