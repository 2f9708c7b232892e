#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "rules/advantage.h"

// Advantages per token: discounted returns of an outcome reward and per-token penalties, and their whitening.
namespace adjudge::reference {

using namespace rl;

template <typename Float>
bool counts(const AdvantageBatch<Float>& batch, std::int32_t token) {
  return !batch.mask || batch.mask[token];
}

template <typename Float>
double penalty_of_row(const AdvantageBatch<Float>& batch, std::size_t row) {
  double sum = 0;
  for (std::int32_t t = batch.cu_seqlens[row]; t < batch.cu_seqlens[row + 1]; ++t) {
    if (counts(batch, t)) sum += batch.penalties[t];
  }
  return sum;
}

// The row's advantage sits on its last counted token; tokens that do not count and unscored rows stay 0.
template <typename Float>
std::vector<double> token_returns(const AdvantageRule& rule, const AdvantageBatch<Float>& batch,
                                  const std::vector<double>& advantages,
                                  const std::vector<std::uint8_t>& scored) {
  const std::size_t rows = advantages.size();
  std::vector<double> returns(rows > 0 ? static_cast<std::size_t>(batch.cu_seqlens[rows]) : 0, 0.0);
  for (std::size_t i = 0; i < rows; ++i) {
    if (!scored[i]) continue;
    double running = 0;
    bool last = true;
    for (std::int32_t t = batch.cu_seqlens[i + 1] - 1; t >= batch.cu_seqlens[i]; --t) {
      if (!counts(batch, t)) {
        if (rule.masked_return == MaskedReturn::through) running *= rule.gamma;
        continue;
      }
      double reward = last ? advantages[i] : 0;
      last = false;
      if (batch.penalties && rule.penalty_per_token) reward -= batch.penalties[t];
      running = reward + rule.gamma * running;
      returns[static_cast<std::size_t>(t)] = running;
    }
  }
  return returns;
}

template <typename Float>
void whiten_tokens(const Whitening& rule, const AdvantageBatch<Float>& batch,
                   const std::vector<std::uint8_t>& scored, std::vector<double>& values) {
  auto for_each = [&](auto&& visit) {
    for (std::size_t i = 0; i < scored.size(); ++i) {
      if (!scored[i]) continue;
      for (std::int32_t t = batch.cu_seqlens[i]; t < batch.cu_seqlens[i + 1]; ++t) {
        if (counts(batch, t)) visit(values[static_cast<std::size_t>(t)]);
      }
    }
  };
  double count = 0;
  double sum = 0;
  for_each([&](double& x) {
    sum += x;
    ++count;
  });
  if (count == 0) return;
  if (rule.scale && rule.bessel && count < 2) {
    throw Error{
        "BATCH_TOO_SMALL",
        "whitening over tokens needs at least 2 counted tokens of scored completions and got 1; use a "
        "larger batch, or an algorithm without whitening"};
  }
  const double mean = sum / (count + rule.count_epsilon);
  double squares = 0;
  for_each([&](double& x) { squares += (x - mean) * (x - mean); });
  double variance = squares / (count + rule.count_epsilon);
  if (rule.bessel) variance *= count / (count - 1);
  const double inside =
      rule.epsilon_rule == EpsilonRule::add ? variance + rule.epsilon : std::max(variance, rule.epsilon);
  const double factor = rule.scale ? 1 / std::sqrt(inside) : 1;
  for_each([&](double& x) { x = (x - mean) * factor; });
}

}  // namespace adjudge::reference
