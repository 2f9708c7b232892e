#include "rl/off_policy_returns.h"

#include "cpu/off_policy_returns.h"
#include "reference/off_policy_returns.h"

namespace adjudge::rl {

template <>
void vtrace(const VtraceRule& rule, const ReturnsBatch<float>& batch, float* targets, float* advantages) {
  adjudge::vtrace(rule, batch, targets, advantages);
}

template <>
void vtrace(const VtraceRule& rule, const ReturnsBatch<double>& batch, double* targets, double* advantages) {
  reference::vtrace(rule, batch, targets, advantages);
}

template <>
void retrace(const RetraceRule& rule, const ReturnsBatch<float>& batch, float* targets) {
  adjudge::retrace(rule, batch, targets);
}

template <>
void retrace(const RetraceRule& rule, const ReturnsBatch<double>& batch, double* targets) {
  reference::retrace(rule, batch, targets);
}

template <>
void upgo(const UpgoRule& rule, const ReturnsBatch<float>& batch, float* returns, float* advantages) {
  adjudge::upgo(rule, batch, returns, advantages);
}

template <>
void upgo(const UpgoRule& rule, const ReturnsBatch<double>& batch, double* returns, double* advantages) {
  reference::upgo(rule, batch, returns, advantages);
}

}  // namespace adjudge::rl
