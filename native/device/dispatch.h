// One place that picks between the processor and CUDA for a call of native/rl.
#pragma once

#include <utility>

#include "core/error.h"
#include "device/choice.h"
#include "device/session.h"

namespace adjudge::device {

constexpr std::size_t bytes_of(std::size_t arrays, std::size_t numbers) {
  return arrays * numbers * sizeof(float);
}

enum class Outcome { done, no_kernel, fault };

// Enqueues an entry of the table of kernels (null: the library has none) and, where it has one, brings the
// results back. `fault`: what finish() brings back of the kernel's own, or null.
template <typename Entry, typename Call>
Outcome run(Session& session, const char* name, Entry* entry, const cuda::Fault* fault, Call&& call) {
  if (!entry) return Outcome::no_kernel;
  if (!session.launch(name, [&](cuda::Launch& launch) { return call(*entry, launch); })) {
    return Outcome::no_kernel;
  }
  session.finish();
  return fault && fault->kind != cuda::FaultKind::none ? Outcome::fault : Outcome::done;
}

// on_cuda(session) -> Outcome; on_cpu() computes the same on the processor: also where CUDA has no kernel for
// a rule or no memory and was not asked for by name, and where the data is at fault, because its error names
// the place.
template <typename OnCuda, typename OnCpu>
void dispatch(Choice choice, const char* call, std::size_t bytes, OnCuda&& on_cuda, OnCpu&& on_cpu) {
  if (!runs_on_cuda(choice, bytes, true)) return on_cpu();
  Outcome outcome = Outcome::no_kernel;
  try {
    Session session(cuda());
    outcome = on_cuda(session);
  } catch (const Error& error) {
    if (choice == Choice::cuda || error.code != "DEVICE_MEMORY") throw;
  }
  if (outcome == Outcome::done) return;
  if (outcome == Outcome::no_kernel) refuse_without_kernel(choice, call);
  on_cpu();
}

}  // namespace adjudge::device
