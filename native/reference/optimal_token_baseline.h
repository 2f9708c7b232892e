#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "rules/advantage.h"
#include "reference/token_returns.h"

// The baseline of least variance at each place of a group's sequences: the mean of the returns G_t, weighted
// by the summed squared norms of the score so far, W_t = sum of (1 - 2 p + sum of p^2) (verl's optimal token
// baseline).
namespace adjudge::reference {

using namespace rl;

namespace optimal_token {

// A row's counted tokens: their places (offset in the row, or rank among the counted), returns and weights.
struct Row {
  std::vector<std::size_t> tokens;
  std::vector<std::size_t> places;
  std::vector<double> weights;
};

template <typename Float>
Row row_of(const AdvantageRule& rule, const AdvantageBatch<Float>& batch, std::size_t row) {
  Row found;
  double weight = 0;
  for (std::int32_t t = batch.cu_seqlens[row]; t < batch.cu_seqlens[row + 1]; ++t) {
    if (!counts(batch, t)) continue;
    double norm = 1 - 2 * std::exp(static_cast<double>(batch.log_probs[t])) + batch.sum_pi_squared[t];
    if (batch.importance_weights) {
      const double ratio = batch.importance_weights[t];
      norm *= ratio * ratio;
    }
    weight += norm;
    const auto offset = static_cast<std::size_t>(t - batch.cu_seqlens[row]);
    found.places.push_back(rule.alignment == Alignment::counted ? found.tokens.size() : offset);
    found.tokens.push_back(static_cast<std::size_t>(t));
    found.weights.push_back(weight);
  }
  return found;
}

// The place from which the one longest row has no other to be compared with; none: the largest number.
inline std::size_t tail_of(const std::vector<Row>& rows, std::size_t& longest) {
  std::size_t first = 0;
  std::size_t second = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t length = rows[i].tokens.size();
    if (length > first) {
      second = first;
      first = length;
      longest = i;
    } else {
      second = std::max(second, length);
    }
  }
  return first > second ? second : std::numeric_limits<std::size_t>::max();
}

}  // namespace optimal_token

// Takes the baseline off the returns of scored rows, [tokens].
template <typename Float>
void subtract_optimal_token_baseline(const AdvantageRule& rule, const AdvantageBatch<Float>& batch,
                                     const std::vector<std::uint8_t>& scored, std::vector<double>& returns) {
  using optimal_token::Row;
  for (std::size_t g = 0; g < batch.groups; ++g) {
    std::vector<Row> rows;
    std::size_t places = 0;
    for (std::int32_t i = batch.group_offsets[g]; i < batch.group_offsets[g + 1]; ++i) {
      const auto index = static_cast<std::size_t>(i);
      if (!scored[index]) continue;
      Row row = optimal_token::row_of(rule, batch, index);
      if (rule.alignment == Alignment::counted && row.tokens.empty()) continue;
      if (!row.places.empty()) places = std::max(places, row.places.back() + 1);
      rows.push_back(std::move(row));
    }
    if (rows.size() < 2) continue;
    std::vector<double> numerator(places, 0.0);
    std::vector<double> denominator(places, rule.epsilon);
    for (const Row& row : rows) {
      for (std::size_t k = 0; k < row.tokens.size(); ++k) {
        numerator[row.places[k]] += returns[row.tokens[k]] * row.weights[k];
        denominator[row.places[k]] += row.weights[k];
      }
    }
    std::size_t longest = 0;
    const std::size_t tail =
        rule.zero_tail ? optimal_token::tail_of(rows, longest) : std::numeric_limits<std::size_t>::max();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t k = 0; k < rows[i].tokens.size(); ++k) {
        const std::size_t place = rows[i].places[k];
        if (i == longest && place >= tail) continue;
        // Weights that are all 0 (a token of probability 1 so far) leave nothing to weigh by.
        if (denominator[place] != 0) returns[rows[i].tokens[k]] -= numerator[place] / denominator[place];
      }
    }
  }
}

}  // namespace adjudge::reference
