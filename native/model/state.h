// What a Model holds: its network, the memory of its parameters, the optimizer's state.
#pragma once
#include <mutex>
#include <vector>

#include "../core/page_allocator.h"
#include "model.h"
#include "network.h"
#include "output_head.h"

namespace adjudge {

struct Model::Impl {
  Network network;
  std::vector<Parameter> parameters;
  std::vector<OutputHead> heads;
  std::vector<Parameter> head_parameters;
  std::vector<std::vector<float, PageAllocator<float>>> memory;  // one block per value, gradient or moment
  int64_t step_count = 0;
  // Kept from one micro-batch to the next: fresh pages cost as much time as a tenth of the arithmetic.
  std::vector<LayerActivations> activations;
  std::vector<float> logits;
  std::mutex mutex;  // held for one pass (a decode step, a micro-batch), so that jobs on one model take turns

  // Throws ARGUMENT_INVALID.
  OutputHead& head_named(const std::string& name);
};

constexpr int64_t row_budget = 1024;  // rows of a micro-batch: part of what makes a run's bits, so fixed
constexpr int64_t head_chunk = 256;   // rows whose logits exist at once

// Loads or makes all parameters of `state.network.config` and points the network at them.
void build_parameters(Model::Impl& state, const TensorSource& source, Dtype dtype, bool trainable,
                      const LoraOptions* lora);

// A value of 0, with gradient and moments where it is trained.
Parameter make_head_parameter(Model::Impl&, const std::string& name, std::vector<int64_t> shape,
                              bool trainable);
// In [0, 1): splitmix64 on a counter.
float counted_uniform(uint64_t seed, uint64_t counter);
// Clips the gradients over all of them, applies AdamW as step `count`, zeroes the gradients; returns the norm
// before. Throws GRADIENT_NOT_FINITE before anything is changed.
double adamw_step(std::span<Parameter* const>, const AdamwOptions&, int64_t count);

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
// hidden [count, width] <- the hidden states x of head rows first, first + 1, …
void gather_hidden(const MicroBatch&, int64_t first, int64_t count, int64_t width,
                   const std::vector<float>& x, std::vector<float>& hidden);

// Cuts a batch into micro-batches of at most about `budget` rows, whole groups each. lengths[c]: tokens of
// completion c that matter (0 = left out). wanted[i] 0 drops a head row; empty = all.
std::vector<MicroBatch> plan_micro_batches(const GroupedBatch&, std::span<const int64_t> lengths,
                                           std::span<const uint8_t> wanted, int64_t budget,
                                           const Prefix* = nullptr);

void check_batch(const GroupedBatch&, const ModelConfig&, int64_t prefix_length = 0);
void check_tokens(std::span<const int32_t> tokens, const ModelConfig&);
// Throws ARGUMENT_INVALID for a prefix of another model, or of the other side of the adapter.
void check_prefix(const Prefix*, const Model::Impl&, bool adapter);

}  // namespace adjudge
