#include "reference/loss_selection.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "core/error.h"
#include "reference/loss_clip.h"

namespace adjudge::reference {
namespace {

template <typename Float>
bool counted(const LossBatch<Float>& batch, std::size_t token) {
  return !batch.mask || batch.mask[token];
}

template <typename Float>
std::size_t tokens_of(const LossBatch<Float>& batch) {
  return batch.rows == 0 ? 0 : static_cast<std::size_t>(batch.cu_seqlens[batch.rows]);
}

struct Covariance {
  std::size_t token;
  double value;
};

// (A - mean A)(log_prob - mean log_prob) of the counted tokens, in their order.
template <typename Float>
std::vector<Covariance> covariances(const LossBatch<Float>& batch, const std::vector<double>& advantages) {
  std::vector<Covariance> result;
  double advantage_sum = 0;
  double log_prob_sum = 0;
  for (std::size_t t = 0; t < tokens_of(batch); ++t) {
    if (!counted(batch, t)) continue;
    result.push_back({t, 0});
    advantage_sum += advantages[t];
    log_prob_sum += batch.log_probs[t];
  }
  const auto n = static_cast<double>(result.size());
  for (auto& [token, value] : result) {
    value = (advantages[token] - advantage_sum / n) * (batch.log_probs[token] - log_prob_sum / n);
  }
  return result;
}

template <typename Float>
std::vector<double> token_advantages(const LossBatch<Float>& batch) {
  std::vector<double> result(tokens_of(batch));
  for (std::size_t i = 0; i < batch.rows; ++i) {
    for (std::int32_t t = batch.cu_seqlens[i]; t < batch.cu_seqlens[i + 1]; ++t) {
      result[t] = batch.advantages[batch.advantages_per_token ? static_cast<std::size_t>(t) : i];
    }
  }
  return result;
}

std::size_t share_of(double share, std::size_t count) {
  const auto part = static_cast<std::size_t>(share * static_cast<double>(count));
  return std::min(std::max<std::size_t>(part, 1), count);
}

void keep_largest(std::vector<Covariance>& tokens, std::size_t count) {
  const auto larger = [](const Covariance& left, const Covariance& right) {
    return left.value > right.value || (left.value == right.value && left.token < right.token);
  };
  std::nth_element(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count), tokens.end(), larger);
  tokens.resize(count);
}

// FNV-1a over the log-probs' bytes.
template <typename Float>
std::uint64_t seed_of(const LossBatch<Float>& batch) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (std::size_t t = 0; t < tokens_of(batch); ++t) {
    if (!counted(batch, t)) continue;
    unsigned char bytes[sizeof(Float)];
    std::memcpy(bytes, &batch.log_probs[t], sizeof(Float));
    for (const unsigned char byte : bytes) hash = (hash ^ byte) * 1099511628211ULL;
  }
  return hash;
}

// SplitMix64 (Steele et al. 2014).
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

void draw(std::vector<Covariance>& candidates, std::size_t count, std::uint64_t seed) {
  for (std::size_t i = 0; i < count; ++i) {
    std::swap(candidates[i], candidates[i + next_random(seed) % (candidates.size() - i)]);
  }
  candidates.resize(count);
}

void take_in_order(std::vector<Covariance>& candidates, std::size_t count, const std::int32_t* order,
                   std::size_t length) {
  const auto wrong = [&](const std::string& what) {
    throw Error{"ARGUMENT_INVALID", "candidateOrder: expected a permutation of the " +
                                        std::to_string(candidates.size()) + " candidates, got " + what};
  };
  if (length != candidates.size()) wrong(std::to_string(length) + " elements");
  std::vector<std::uint8_t> seen(length);
  std::vector<Covariance> taken;
  for (std::size_t i = 0; i < length; ++i) {
    const auto place = static_cast<std::size_t>(order[i]);
    if (order[i] < 0 || place >= length || seen[place]) {
      wrong(std::to_string(order[i]) + " at index " + std::to_string(i));
    }
    seen[place] = 1;
    if (i < count) taken.push_back(candidates[place]);
  }
  candidates = taken;
}

}  // namespace

template <typename Float>
std::vector<std::uint8_t> kept_tokens(const LossRule& rule, const LossBatch<Float>& batch) {
  if (rule.keep_ratio_low <= 0 && std::isinf(rule.keep_ratio_high)) return {};
  const double low = std::log(rule.keep_ratio_low);
  const double high = std::log(rule.keep_ratio_high);
  std::vector<std::uint8_t> kept(tokens_of(batch));
  for (std::size_t t = 0; t < kept.size(); ++t) {
    const double log_ratio = static_cast<double>(batch.log_probs[t]) - batch.old_log_probs[t];
    kept[t] = counted(batch, t) && log_ratio >= low && log_ratio <= high;
  }
  return kept;
}

template <typename Float>
std::vector<std::uint8_t> high_entropy_tokens(const LossRule& rule, const LossBatch<Float>& batch) {
  if (rule.top_entropy_quantile >= 1 || !batch.entropies) return {};
  std::vector<std::uint8_t> chosen(tokens_of(batch));
  std::vector<double> values;
  for (std::size_t t = 0; t < chosen.size(); ++t) {
    if (counted(batch, t)) values.push_back(batch.entropies[t]);
  }
  if (values.empty()) return chosen;
  std::sort(values.begin(), values.end());
  const double place = (1 - rule.top_entropy_quantile) * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double above = values[std::min(below + 1, values.size() - 1)];
  const double threshold = values[below] + (place - std::floor(place)) * (above - values[below]);
  for (std::size_t t = 0; t < chosen.size(); ++t) {
    chosen[t] = counted(batch, t) && batch.entropies[t] >= threshold;
  }
  return chosen;
}

template <typename Float>
std::vector<std::uint8_t> covariance_tokens(const LossRule& rule, const LossBatch<Float>& batch) {
  const bool drop = rule.kind == LossKind::clip_cov;
  if (!drop && rule.kind != LossKind::kl_cov) return {};
  std::vector<std::uint8_t> chosen(tokens_of(batch));
  const std::vector<double> advantages = token_advantages(batch);
  std::vector<Covariance> candidates = covariances(batch, advantages);
  const std::size_t count = share_of(rule.covariance.share, candidates.size());
  if (drop) {
    std::erase_if(candidates, [&](const Covariance& candidate) {
      const std::size_t t = candidate.token;
      const double ratio = std::exp(static_cast<double>(batch.log_probs[t]) - batch.old_log_probs[t]);
      const LossTerm term = clip_term(rule, {0, 0, ratio, advantages[t], 0, false});
      const bool between = candidate.value > rule.covariance.low && candidate.value < rule.covariance.high;
      return !between || term.low || term.high;
    });
    const std::size_t taken = std::min(count, candidates.size());
    if (batch.candidate_order) {
      take_in_order(candidates, taken, batch.candidate_order, batch.candidate_count);
    } else {
      draw(candidates, taken, seed_of(batch));
    }
  } else {
    keep_largest(candidates, count);
  }
  for (const auto& candidate : candidates) chosen[candidate.token] = 1;
  return chosen;
}

template std::vector<std::uint8_t> kept_tokens(const LossRule&, const LossBatch<float>&);
template std::vector<std::uint8_t> kept_tokens(const LossRule&, const LossBatch<double>&);
template std::vector<std::uint8_t> high_entropy_tokens(const LossRule&, const LossBatch<float>&);
template std::vector<std::uint8_t> high_entropy_tokens(const LossRule&, const LossBatch<double>&);
template std::vector<std::uint8_t> covariance_tokens(const LossRule&, const LossBatch<float>&);
template std::vector<std::uint8_t> covariance_tokens(const LossRule&, const LossBatch<double>&);

}  // namespace adjudge::reference
