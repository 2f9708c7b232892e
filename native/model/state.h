// What a Model holds: its network, the memory of its parameters, the optimizer's state.
#pragma once
#include <mutex>
#include <vector>

#include "../core/page_allocator.h"
#include "model.h"
#include "network.h"

namespace adjudge {

struct Model::Impl {
  Network network;
  std::vector<Parameter> parameters;
  std::vector<std::vector<float, PageAllocator<float>>> memory;  // one block per value, gradient or moment
  int64_t step_count = 0;
  // Kept from one micro-batch to the next: fresh pages cost as much time as a tenth of the arithmetic.
  std::vector<LayerActivations> activations;
  std::vector<float> logits;
  std::mutex mutex;  // held for one pass (a decode step, a micro-batch), so that jobs on one model take turns
};

// Loads or makes all parameters of `state.network.config` and points the network at them.
void build_parameters(Model::Impl& state, const TensorSource& source, Dtype dtype, bool trainable,
                      const LoraOptions* lora);

// Packs every matrix (after loading, or after values changed).
void pack_all(Network&);
// Packs again what a step changes: with LoRA only the adapters.
void repack_trainable(Network&);

// One micro-batch: whole groups, and the head rows that are wanted.
struct HeadRow {
  int64_t row, output;  // row of the pass; index into completion_tokens
  int32_t target;
};
struct MicroBatch {
  Rows rows;
  std::vector<HeadRow> head;
};

// Cuts a batch into micro-batches of at most about `budget` rows, whole groups each. lengths[c]: tokens of
// completion c that matter (0 = left out). wanted[i] 0 drops a head row; empty = all.
std::vector<MicroBatch> plan_micro_batches(const GroupedBatch&, std::span<const int64_t> lengths,
                                           std::span<const uint8_t> wanted, int64_t budget);

void check_batch(const GroupedBatch&, const ModelConfig&);
void check_tokens(std::span<const int32_t> tokens, const ModelConfig&);

}  // namespace adjudge
