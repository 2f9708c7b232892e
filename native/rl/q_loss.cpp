#include "rl/q_loss.h"

#include "cpu/q.h"
#include "reference/q_loss.h"

namespace adjudge::rl {

template <>
QLossValue q_loss(const QLossRule& rule, const QLossBatch<float>& batch) {
  QLossValue value;
  return adjudge::q_loss(rule, batch, value) ? value : reference::q_loss(rule, batch);
}

template <>
QLossValue q_loss(const QLossRule& rule, const QLossBatch<double>& batch) {
  return reference::q_loss(rule, batch);
}

}  // namespace adjudge::rl
