#include "device/rl.h"

#include "device/dispatch.h"
#include "device/upload.h"

namespace adjudge::device {
template <>
void gae(Choice choice, const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, float* advantages,
         float* returns) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  dispatch(
      choice, "gae", bytes_of(4, tokens),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const advantages_there = session.out(advantages, tokens);
        float* const returns_there = session.out(returns, tokens);
        return run(session, "gae", session.kernels().gae, nullptr, [&](auto& kernel, auto& launch) {
          return kernel(rule, there, static_cast<std::int64_t>(tokens), advantages_there, returns_there,
                        launch);
        });
      },
      [&] { rl::gae(rule, batch, advantages, returns); });
}

template <>
void gae(Choice choice, const rl::GaeRule& rule, const rl::GaeBatch<double>& batch, double* advantages,
         double* returns) {
  runs_on_cuda(choice, 0, false);
  rl::gae(rule, batch, advantages, returns);
}

template <>
void vtrace(Choice choice, const rl::VtraceRule& rule, const rl::ReturnsBatch<float>& batch, float* targets,
            float* advantages) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  dispatch(
      choice, "vtrace", bytes_of(5, tokens),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const targets_there = session.out(targets, tokens);
        float* const advantages_there = session.out(advantages, tokens);
        return run(session, "vtrace", session.kernels().vtrace, nullptr, [&](auto& kernel, auto& launch) {
          return kernel(rule, there, static_cast<std::int64_t>(tokens), targets_there, advantages_there,
                        launch);
        });
      },
      [&] { rl::vtrace(rule, batch, targets, advantages); });
}

template <>
void vtrace(Choice choice, const rl::VtraceRule& rule, const rl::ReturnsBatch<double>& batch, double* targets,
            double* advantages) {
  runs_on_cuda(choice, 0, false);
  rl::vtrace(rule, batch, targets, advantages);
}

template <>
void upgo(Choice choice, const rl::UpgoRule& rule, const rl::ReturnsBatch<float>& batch, float* returns,
          float* advantages) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  dispatch(
      choice, "upgo", bytes_of(5, tokens),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const returns_there = session.out(returns, tokens);
        float* const advantages_there = session.out(advantages, tokens);
        return run(session, "upgo", session.kernels().upgo, nullptr, [&](auto& kernel, auto& launch) {
          return kernel(rule, there, static_cast<std::int64_t>(tokens), returns_there, advantages_there,
                        launch);
        });
      },
      [&] { rl::upgo(rule, batch, returns, advantages); });
}

template <>
void upgo(Choice choice, const rl::UpgoRule& rule, const rl::ReturnsBatch<double>& batch, double* returns,
          double* advantages) {
  runs_on_cuda(choice, 0, false);
  rl::upgo(rule, batch, returns, advantages);
}

template <>
void retrace(Choice choice, const rl::RetraceRule& rule, const rl::ReturnsBatch<float>& batch,
             float* targets) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  dispatch(
      choice, "retrace", bytes_of(5, tokens),
      [&](Session& session) {
        const auto there = upload(session, batch);
        float* const targets_there = session.out(targets, tokens);
        return run(session, "retrace", session.kernels().retrace, nullptr, [&](auto& kernel, auto& launch) {
          return kernel(rule, there, static_cast<std::int64_t>(tokens), targets_there, launch);
        });
      },
      [&] { rl::retrace(rule, batch, targets); });
}

template <>
void retrace(Choice choice, const rl::RetraceRule& rule, const rl::ReturnsBatch<double>& batch,
             double* targets) {
  runs_on_cuda(choice, 0, false);
  rl::retrace(rule, batch, targets);
}

}  // namespace adjudge::device
