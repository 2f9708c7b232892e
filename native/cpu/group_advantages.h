// Advantages of completions compared within their group, one reward each: f32 arrays, f64 inside, on all
// threads; the same bits whatever their number.
#pragma once
#include "native/rules/advantage.h"

namespace adjudge {

// True for: one reward function in a plain sum; baseline group, leave_one_out, batch, given or none; scale
// group, batch or none; one advantage per completion; no penalties.
bool group_advantages_apply(const rl::AdvantageRule& rule, const rl::AdvantageBatch<float>& batch);

// False where the batch has to be refused (an infinite reward; a group of one where the rule says error):
// what is written then means nothing.
bool group_advantages(const rl::AdvantageRule& rule, const rl::AdvantageBatch<float>& batch,
                      float* advantages, rl::AdvantageMetrics& metrics);

}  // namespace adjudge
