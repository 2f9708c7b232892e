#include "cuda/fault.cuh"

namespace adjudge::cuda {
namespace {

SIMT_KERNEL begin_faults_kernel(FaultKey* key) {
  if (simt::thread() == 0) key->key = ~std::uint64_t{0};
}

SIMT_KERNEL end_faults_kernel(const FaultKey* key, Fault* fault) {
  if (simt::thread() != 0) return;
  const std::uint64_t found = key->key;
  if (found == ~std::uint64_t{0}) {
    *fault = {FaultKind::none, 0, -1};
    return;
  }
  *fault = {static_cast<FaultKind>(found >> 56), static_cast<std::int32_t>(found >> 48 & 0xff),
            static_cast<std::int64_t>(found & 0xffffffffffffULL)};
}

}  // namespace

void begin_faults(Enqueue& enqueue, FaultKey* key) {
  enqueue.with(ADJUDGE_NAMED(begin_faults_kernel), {1, simt::warp_size, 0}, key);
}

void end_faults(Enqueue& enqueue, const FaultKey* key, Fault* fault) {
  enqueue.with(ADJUDGE_NAMED(end_faults_kernel), {1, simt::warp_size, 0}, key, fault);
}

}  // namespace adjudge::cuda
