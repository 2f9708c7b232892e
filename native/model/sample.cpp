#include "sample.h"

#include <algorithm>
#include <cmath>

#include "../cpu/math.h"

namespace adjudge {
namespace {

uint64_t mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

struct Candidate {
  float logit;  // scaled by 1 / temperature
  int32_t token;
};

bool larger(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

void list_top(std::span<const float> logits, float inverse_temperature, float lse, int64_t count,
              std::vector<TopLogProb>& top) {
  std::vector<Candidate> all(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) all[i] = {logits[i], static_cast<int32_t>(i)};
  count = std::min<int64_t>(count, static_cast<int64_t>(all.size()));
  std::partial_sort(all.begin(), all.begin() + count, all.end(), larger);
  for (int64_t i = 0; i < count; ++i) top.push_back({all[i].token, all[i].logit * inverse_temperature - lse});
}

// Keeps what top-k, top-p and min-p leave, most probable first.
void filter(std::vector<Candidate>& candidates, const SamplingOptions& options) {
  const int64_t k = options.top_k > 0
                        ? std::min<int64_t>(options.top_k, static_cast<int64_t>(candidates.size()))
                        : static_cast<int64_t>(candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + k, candidates.end(), larger);
  candidates.resize(k);
  const double best = candidates.front().logit;
  if (options.top_p < 1) {
    double total = 0, mass = 0;
    for (const Candidate& c : candidates) total += std::exp(c.logit - best);
    size_t kept = 0;
    while (kept < candidates.size() && (kept == 0 || mass < options.top_p * total))
      mass += std::exp(candidates[kept++].logit - best);
    candidates.resize(kept);
  }
  if (options.min_p > 0) {
    const double bound = best + std::log(static_cast<double>(options.min_p));
    while (candidates.size() > 1 && candidates.back().logit < bound) candidates.pop_back();
  }
}

}  // namespace

double keyed_uniform(uint64_t seed, uint64_t prompt, uint64_t completion, uint64_t position) {
  return static_cast<double>(mix(mix(mix(mix(seed) ^ prompt) ^ completion) ^ position) >> 11) * 0x1p-53;
}

Sampled sample(std::span<float> logits, const SamplingOptions& options, std::span<const int32_t> seen,
               double uniform, std::vector<TopLogProb>& top) {
  const bool greedy = options.temperature == 0;
  const float inverse_temperature = greedy ? 1.0f : 1.0f / options.temperature;
  const int64_t count = static_cast<int64_t>(logits.size());
  const float lse = log_sum_exp(logits.data(), count, inverse_temperature, nullptr);
  if (options.top_log_probs > 0) list_top(logits, inverse_temperature, lse, options.top_log_probs, top);
  const bool penalised = options.repetition_penalty != 1.0f && !seen.empty();
  std::vector<std::pair<int32_t, float>> natural;  // logits before the penalty
  if (penalised)
    for (int32_t token : seen) {
      if (std::any_of(natural.begin(), natural.end(), [&](const auto& n) { return n.first == token; }))
        continue;
      natural.emplace_back(token, logits[token]);
      logits[token] *= logits[token] > 0 ? 1 / options.repetition_penalty : options.repetition_penalty;
    }
  auto natural_log_prob = [&](int32_t token) {
    for (const auto& [known, value] : natural)
      if (known == token) return value * inverse_temperature - lse;
    return logits[token] * inverse_temperature - lse;
  };
  if (greedy) {
    const int32_t token =
        static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    return {token, natural_log_prob(token), 0.0f};
  }
  const bool filtered = options.top_k > 0 || options.top_p < 1 || options.min_p > 0;
  if (!filtered) {
    const float sampling_lse =
        penalised ? log_sum_exp(logits.data(), count, inverse_temperature, nullptr) : lse;
    double mass = 0;
    int32_t token = -1, last = 0;
    for (int32_t i = 0; i < count && token < 0; ++i) {
      const double p = std::exp(static_cast<double>(logits[i] * inverse_temperature - sampling_lse));
      if (p > 0) last = i;
      mass += p;
      if (uniform < mass) token = i;
    }
    if (token < 0) token = last;  // rounding left the sum just below the draw
    return {token, natural_log_prob(token), logits[token] * inverse_temperature - sampling_lse};
  }
  std::vector<Candidate> candidates(count);
  for (int32_t i = 0; i < count; ++i) candidates[i] = {logits[i] * inverse_temperature, i};
  filter(candidates, options);
  double total = 0, mass = 0;
  const double best = candidates.front().logit;
  for (const Candidate& c : candidates) total += std::exp(c.logit - best);
  size_t chosen = candidates.size() - 1;
  for (size_t i = 0; i < candidates.size(); ++i) {
    mass += std::exp(candidates[i].logit - best);
    if (uniform * total < mass) {
      chosen = i;
      break;
    }
  }
  const Candidate& c = candidates[chosen];
  return {c.token, natural_log_prob(c.token), static_cast<float>(c.logit - best - std::log(total))};
}

}  // namespace adjudge
