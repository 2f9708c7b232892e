// One thread per token, striding: reads 8 bytes a token (12 with old log-probs) and the mask, writes 8; about
// 10 f32 flops, 35 with k3.
#include "rl/kl_tokens.h"

#include "cuda/launch.h"
#include "cuda/table.h"
#include "rules/kl_terms.h"
#include "rules/loss_constants.h"

namespace adjudge::cuda {
namespace {

using namespace rl;

constexpr std::int64_t most_blocks = 4096;

SIMT_KERNEL kl_tokens_kernel(KlConstants rule, KlTokensBatch<float> batch, float* values, float* gradients) {
  const auto tokens = static_cast<std::int64_t>(batch.tokens);
  for (std::int64_t t = simt::block() * simt::threads() + simt::thread(); t < tokens;
       t += simt::blocks() * simt::threads()) {
    KlLanes<float> kl{0, 0};
    if (!batch.mask || batch.mask[t]) {
      const float log_prob = batch.log_probs[t];
      kl = kl_lanes<float>(rule, log_prob, batch.reference_log_probs[t],
                           batch.old_log_probs ? batch.old_log_probs[t] : log_prob);
    }
    values[t] = kl.value;
    gradients[t] = kl.gradient;
  }
}

int kl_tokens(const KlRule& rule, const KlTokensBatch<float>& batch, float* values, float* gradients,
              Launch& launch) {
  Enqueue enqueue(launch, 256);
  if (enqueue.stops()) return enqueue.status();
  const auto tokens = static_cast<std::int64_t>(batch.tokens);
  enqueue(ADJUDGE_NAMED(kl_tokens_kernel), std::min(most_blocks, blocks_of(tokens, enqueue.threads())),
          kl_constants(rule), batch, values, gradients);
  return enqueue.status();
}

}  // namespace

void add_kl_tokens(Kernels& table) { table.kl_tokens = kl_tokens; }

}  // namespace adjudge::cuda
