#pragma once

#include <cstdint>
#include <vector>

#include "rules/policy_loss.h"

// Which tokens of a batch a loss looks at: one pass over the batch before the sweep, and only where a rule
// asks. All results: [tokens], 1 = chosen, empty where the rule asks for nothing.
namespace adjudge::reference {

using namespace rl;

// Counted tokens whose ratio lies within keep_ratio_low and keep_ratio_high.
template <typename Float>
std::vector<std::uint8_t> kept_tokens(const LossRule& rule, const LossBatch<Float>& batch);

// Counted tokens whose entropy is at least the (1 - top_entropy_quantile) quantile of the counted tokens',
// linearly interpolated.
template <typename Float>
std::vector<std::uint8_t> high_entropy_tokens(const LossRule& rule, const LossBatch<Float>& batch);

// Tokens singled out by covariance: kl_cov takes the largest; clip_cov draws among those between the rule's
// bounds that the clip does not stop, in candidate_order or in an order drawn from the log-probs' bits, so
// that the same batch always gives the same tokens. Throws ARGUMENT_INVALID for a candidate_order that is no
// permutation of the candidates.
template <typename Float>
std::vector<std::uint8_t> covariance_tokens(const LossRule& rule, const LossBatch<Float>& batch);

}  // namespace adjudge::reference
