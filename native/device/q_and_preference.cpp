#include "device/rl.h"

#include <algorithm>

#include "device/dispatch.h"
#include "device/upload.h"

namespace adjudge::device {

template <>
void q_targets(Choice choice, const rl::QTargetRule& rule, const rl::QTargetBatch<float>& batch,
               float* targets) {
  const std::size_t numbers = batch.steps * batch.actions * batch.quantiles;
  dispatch(
      choice, "q_targets", (numbers + 2 * batch.steps * batch.quantiles) * sizeof(float),
      [&](Session& session) {
        const auto there = upload(session, batch);
        cuda::Fault fault;
        auto* const fault_there = session.out(&fault, 1);
        float* const targets_there = session.out(targets, batch.steps * batch.quantiles);
        return run(session, "q_targets", session.kernels().q_targets, &fault,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, targets_there, fault_there, launch);
                   });
      },
      [&] { rl::q_targets(rule, batch, targets); });
}

template <>
void q_targets(Choice choice, const rl::QTargetRule& rule, const rl::QTargetBatch<double>& batch,
               double* targets) {
  runs_on_cuda(choice, 0, false);
  return rl::q_targets(rule, batch, targets);
}

template <>
rl::QLossValue q_loss(Choice choice, const rl::QLossRule& rule, const rl::QLossBatch<float>& batch) {
  const std::size_t numbers = batch.steps * std::max<std::size_t>(1, batch.actions) * batch.quantiles;
  rl::QLossValue value;
  dispatch(
      choice, "q_loss", (2 * numbers + 4 * batch.steps) * sizeof(float),
      [&](Session& session) {
        const auto there = upload(session, batch);
        cuda::Fault fault;
        auto* const fault_there = session.out(&fault, 1);
        auto* const value_there = session.out(&value, 1);
        return run(session, "q_loss", session.kernels().q_loss, &fault, [&](auto& kernel, auto& launch) {
          return kernel(rule, there, value_there, fault_there, launch);
        });
      },
      [&] { value = rl::q_loss(rule, batch); });
  return value;
}

template <>
rl::QLossValue q_loss(Choice choice, const rl::QLossRule& rule, const rl::QLossBatch<double>& batch) {
  runs_on_cuda(choice, 0, false);
  return rl::q_loss(rule, batch);
}

template <>
rl::PreferenceValue preference_loss(Choice choice, const rl::PreferenceRule& rule,
                                    const rl::PreferenceBatch<float>& batch, float* gradients) {
  const std::size_t numbers = preference_values(batch);
  rl::PreferenceValue value;
  dispatch(
      choice, "preference_loss", 3 * numbers * sizeof(float),
      [&](Session& session) {
        const auto there = upload(session, batch);
        cuda::Fault fault;
        auto* const fault_there = session.out(&fault, 1);
        float* const gradients_there = session.out(gradients, numbers);
        auto* const value_there = session.out(&value, 1);
        return run(session, "preference_loss", session.kernels().preference_loss, &fault,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rule, there, static_cast<std::int64_t>(numbers), gradients_there,
                                   value_there, fault_there, launch);
                   });
      },
      [&] { value = rl::preference_loss(rule, batch, gradients); });
  return value;
}

template <>
rl::PreferenceValue preference_loss(Choice choice, const rl::PreferenceRule& rule,
                                    const rl::PreferenceBatch<double>& batch, double* gradients) {
  runs_on_cuda(choice, 0, false);
  return rl::preference_loss(rule, batch, gradients);
}

}  // namespace adjudge::device
