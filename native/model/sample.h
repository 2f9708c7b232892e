// Choosing the next token from one row of logits.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model.h"

namespace adjudge {

struct Sampled {
  int32_t token;
  float log_prob, sampling_log_prob;
};

// `logits` may be changed. `seen` are the tokens for the repetition penalty; `uniform` in [0, 1) decides.
// Order of the filters as in Transformers: penalty, temperature, top-k, top-p, min-p. Temperature 0 is greedy
// (lowest id of a tie), its log_prob is at temperature 1. `top` receives options.top_log_probs entries of the
// natural distribution.
Sampled sample(std::span<float> logits, const SamplingOptions& options, std::span<const int32_t> seen,
               double uniform, std::vector<TopLogProb>& top);

// A number in [0, 1) that depends on nothing but its arguments (splitmix64, keyed).
double keyed_uniform(uint64_t seed, uint64_t prompt, uint64_t completion, uint64_t position);

}  // namespace adjudge
