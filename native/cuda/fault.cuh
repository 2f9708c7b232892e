// The first fault that a kernel finds: of the least kind, at the least index, whatever the order of the
// threads.
#pragma once

#include "cuda/launch.h"

namespace adjudge::cuda {

struct FaultKey {
  std::uint64_t key;  // kind, array and index in one ordered number; all bits set: none
};

SIMT_DEVICE void note_fault(FaultKey* fault, FaultKind kind, std::int64_t index, int array = 0) {
  const auto key = static_cast<std::uint64_t>(kind) << 56 | static_cast<std::uint64_t>(array) << 48 |
                   static_cast<std::uint64_t>(index);
  simt::atomic_min(&fault->key, key);
}

void begin_faults(Enqueue& enqueue, FaultKey* key);
void end_faults(Enqueue& enqueue, const FaultKey* key, Fault* fault);

}  // namespace adjudge::cuda
