// V-trace, Retrace and UPGO of f32 arrays: see rl/off_policy_returns.h.
#pragma once
#include "native/rules/off_policy_returns.h"

namespace adjudge {

void vtrace(const rl::VtraceRule& rule, const rl::ReturnsBatch<float>& batch, float* targets,
            float* advantages);
void retrace(const rl::RetraceRule& rule, const rl::ReturnsBatch<float>& batch, float* targets);
void upgo(const rl::UpgoRule& rule, const rl::ReturnsBatch<float>& batch, float* returns, float* advantages);

}  // namespace adjudge
