#include "device/rl.h"

#include "device/dispatch.h"
#include "device/upload.h"

namespace adjudge::device {
namespace {

// A kernel over packed tokens whose outputs have one number per token. arrays: how many such arrays go in and
// out; on_cpu() computes the same on the processor.
template <typename Entry, typename Rule, typename Batch, typename OnCpu, typename... Outputs>
void token_call(Choice choice, const char* name, Entry* cuda::Kernels::*entry, std::size_t arrays,
                const Rule& rule, const Batch& batch, OnCpu&& on_cpu, Outputs*... outputs) {
  const std::size_t tokens = covered(batch.cu_seqlens, batch.rows);
  dispatch(
      choice, name, bytes_of(arrays, tokens),
      [&](Session& session) {
        const auto there = upload(session, batch);
        const auto with = [&](auto*... outputs_there) {
          return run(session, name, session.kernels().*entry, nullptr, [&](auto& kernel, auto& launch) {
            return kernel(rule, there, static_cast<std::int64_t>(tokens), outputs_there..., launch);
          });
        };
        return with(session.out(outputs, tokens)...);
      },
      on_cpu);
}

}  // namespace

template <>
void gae(Choice choice, const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, float* advantages,
         float* returns) {
  token_call(
      choice, "gae", &cuda::Kernels::gae, 4, rule, batch, [&] { rl::gae(rule, batch, advantages, returns); },
      advantages, returns);
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
  token_call(
      choice, "vtrace", &cuda::Kernels::vtrace, 5, rule, batch,
      [&] { rl::vtrace(rule, batch, targets, advantages); }, targets, advantages);
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
  token_call(
      choice, "upgo", &cuda::Kernels::upgo, 5, rule, batch,
      [&] { rl::upgo(rule, batch, returns, advantages); }, returns, advantages);
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
  token_call(
      choice, "retrace", &cuda::Kernels::retrace, 5, rule, batch, [&] { rl::retrace(rule, batch, targets); },
      targets);
}

template <>
void retrace(Choice choice, const rl::RetraceRule& rule, const rl::ReturnsBatch<double>& batch,
             double* targets) {
  runs_on_cuda(choice, 0, false);
  rl::retrace(rule, batch, targets);
}

}  // namespace adjudge::device
