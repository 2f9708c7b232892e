#pragma once

#include "rules/off_policy_returns.h"

// See rl/off_policy_returns.h.
namespace adjudge::reference {

template <typename Float>
void vtrace(const rl::VtraceRule& rule, const rl::ReturnsBatch<Float>& batch, Float* targets,
            Float* advantages);

template <typename Float>
void retrace(const rl::RetraceRule& rule, const rl::ReturnsBatch<Float>& batch, Float* targets);

template <typename Float>
void upgo(const rl::UpgoRule& rule, const rl::ReturnsBatch<Float>& batch, Float* returns, Float* advantages);

}  // namespace adjudge::reference
