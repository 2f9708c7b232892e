// Each source enters its own functions into the table.
#pragma once

#include "cuda/kernels.h"

namespace adjudge::cuda {

void add_advantages(Kernels& table);
void add_dueling(Kernels& table);
void add_gae(Kernels& table);
void add_gamma_weights(Kernels& table);
void add_importance_weights(Kernels& table);
void add_kl_reward(Kernels& table);
void add_kl_rows(Kernels& table);
void add_kl_tokens(Kernels& table);
void add_linear(Kernels& table);
void add_logits(Kernels& table);
void add_mismatch_metrics(Kernels& table);
void add_off_policy_returns(Kernels& table);
void add_policy_loss(Kernels& table);
void add_polyak(Kernels& table);
void add_q_loss(Kernels& table);
void add_q_targets(Kernels& table);
void add_rejection(Kernels& table);
void add_replay(Kernels& table);
void add_preference_loss(Kernels& table);
void add_value_loss(Kernels& table);

}  // namespace adjudge::cuda
