#include "cuda/kernels.h"

#include "cuda/table.h"

namespace adjudge::cuda {
namespace {

Kernels every_kernel() {
  Kernels table{};
  table.version = kernels_version;
  table.bytes = sizeof(Kernels);
#ifdef ADJUDGE_CUDA_HOST
  table.name = "host";
#else
  table.name = "cuda";
#endif
  add_advantages(table);
  add_dueling(table);
  add_gae(table);
  add_gamma_weights(table);
  add_importance_weights(table);
  add_kl_reward(table);
  add_kl_rows(table);
  add_kl_tokens(table);
  add_linear(table);
  add_logits(table);
  add_mismatch_metrics(table);
  add_off_policy_returns(table);
  add_policy_loss(table);
  add_polyak(table);
  add_preference_loss(table);
  add_q_loss(table);
  add_q_targets(table);
  add_rejection(table);
  add_replay(table);
  add_value_loss(table);
  return table;
}

}  // namespace
}  // namespace adjudge::cuda

extern "C" const adjudge::cuda::Kernels* adjudge_cuda_kernels() {
  static const adjudge::cuda::Kernels table = adjudge::cuda::every_kernel();
  return &table;
}
