#include "device/dispatch.h"
#include "device/rl.h"

namespace adjudge::device {

template <>
void dueling_q(Choice choice, rl::DuelingCentre centre, const rl::DuelingShape& shape, const float* values,
               const float* advantages, float* q) {
  const std::size_t numbers = shape.steps * shape.actions * shape.quantiles;
  dispatch(
      choice, "dueling_q", bytes_of(2, numbers),
      [&](Session& session) {
        const float* const values_there = session.in(values, shape.steps * shape.quantiles);
        const float* const advantages_there = session.in(advantages, numbers);
        float* const q_there = session.out(q, numbers);
        return run(session, "dueling_q", session.kernels().dueling_q, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(centre, shape, values_there, advantages_there, q_there, launch);
                   });
      },
      [&] { rl::dueling_q(centre, shape, values, advantages, q); });
}

template <>
void dueling_q(Choice choice, rl::DuelingCentre centre, const rl::DuelingShape& shape, const double* values,
               const double* advantages, double* q) {
  runs_on_cuda(choice, 0, false);
  rl::dueling_q(centre, shape, values, advantages, q);
}

template <>
void dueling_gradients(Choice choice, rl::DuelingCentre centre, const rl::DuelingShape& shape,
                       const float* advantages, const float* q_gradients, float* value_gradients,
                       float* advantage_gradients) {
  const std::size_t numbers = shape.steps * shape.actions * shape.quantiles;
  dispatch(
      choice, "dueling_gradients", bytes_of(3, numbers),
      [&](Session& session) {
        const float* const advantages_there = session.in(advantages, numbers);
        const float* const slopes_there = session.in(q_gradients, numbers);
        float* const values_there = session.out(value_gradients, shape.steps * shape.quantiles);
        float* const results_there = session.out(advantage_gradients, numbers);
        return run(session, "dueling_gradients", session.kernels().dueling_gradients, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(centre, shape, advantages_there, slopes_there, values_there, results_there,
                                   launch);
                   });
      },
      [&] {
        rl::dueling_gradients(centre, shape, advantages, q_gradients, value_gradients, advantage_gradients);
      });
}

template <>
void dueling_gradients(Choice choice, rl::DuelingCentre centre, const rl::DuelingShape& shape,
                       const double* advantages, const double* q_gradients, double* value_gradients,
                       double* advantage_gradients) {
  runs_on_cuda(choice, 0, false);
  rl::dueling_gradients(centre, shape, advantages, q_gradients, value_gradients, advantage_gradients);
}

template <>
void polyak_average(Choice choice, double rate, const float* online, float* target, std::size_t count) {
  dispatch(
      choice, "polyak_average", bytes_of(3, count),
      [&](Session& session) {
        const float* const online_there = session.in(online, count);
        float* const target_there = session.in_out(target, count);
        return run(session, "polyak_average", session.kernels().polyak_average, nullptr,
                   [&](auto& kernel, auto& launch) {
                     return kernel(rate, online_there, target_there, static_cast<std::int64_t>(count),
                                   launch);
                   });
      },
      [&] { rl::polyak_average(rate, online, target, count); });
}

template <>
void polyak_average(Choice choice, double rate, const double* online, double* target, std::size_t count) {
  runs_on_cuda(choice, 0, false);
  rl::polyak_average(rate, online, target, count);
}

}  // namespace adjudge::device
