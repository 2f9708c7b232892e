// The CUDA kernels as one table of functions, all of them callable from the host. The rules and batches are
// those of native/rl with float arrays, but every pointer inside a batch, and every output, is device memory;
// the rule and the batch themselves lie on the host and are read before the function returns.
//
// Nothing here waits, allocates or throws: a function enqueues its launches on the stream. Arrays of metrics
// and `fault` are device memory too, written entirely. Sums have a fixed order that depends on the sizes and
// the block size only, so results have the same bits on every device of one architecture and in every run.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rules/logits.h"

namespace adjudge::rl {
struct AdvantageRule;
struct AdvantageMetrics;
struct GaeRule;
struct LossRule;
struct LossValue;
struct ValueRule;
struct ValueLossResult;
struct KlRule;
struct KlRewardRule;
struct KlRewardMetrics;
struct QTargetRule;
struct QLossRule;
struct QLossValue;
struct DuelingShape;
struct PreferenceRule;
struct PreferenceValue;
struct VtraceRule;
struct RetraceRule;
struct UpgoRule;
struct WeightRule;
struct WeightMetrics;
struct Criterion;
struct CriterionMetrics;
struct MismatchMetrics;
struct GammaWeight;
template <typename Float>
struct AdvantageBatch;
template <typename Float>
struct GaeBatch;
template <typename Float>
struct LossBatch;
template <typename Float>
struct ValueBatch;
template <typename Float>
struct KlRowsBatch;
template <typename Float>
struct KlTokensBatch;
template <typename Float>
struct KlRewardBatch;
template <typename Float>
struct QTargetBatch;
template <typename Float>
struct QLossBatch;
template <typename Float>
struct PreferenceBatch;
template <typename Float>
struct ReturnsBatch;
template <typename Float>
struct RolloutBatch;
template <typename Float>
struct GammaBatch;
enum class KlDirection;
enum class DuelingCentre;
enum class ReplaySampling;
enum class ReplayNormalization;
}  // namespace adjudge::rl

namespace adjudge::cuda {

// What a function of the table returns; a number above 0 is a cudaError_t.
enum Status : int {
  enqueued = 0,
  workspace_too_small = -1,
  rule_not_computed = -2,  // this rule has no kernel: compute it on the processor
  launch_invalid = -3,     // threads not a multiple of 32 within 32 to 1024
};

struct Launch {
  void* stream = nullptr;  // cudaStream_t
  // Device memory, aligned to 256 bytes, free for reuse once the stream has passed. With `measure` a function
  // only sets workspace_bytes to what it needs (0 where it needs none) and enqueues nothing; no pointer is
  // read then.
  void* workspace = nullptr;
  std::size_t workspace_bytes = 0;
  bool measure = false;
  int threads = 0;  // per block; 0 = the kernel's own choice
};

// What a kernel found wrong with the data: the first place of the least index. Outputs are then not to be
// used.
enum class FaultKind : std::int32_t {
  none = 0,
  reward_infinite = 1,      // index: completion
  group_of_one = 2,         // index: group; the rule refuses a single scored completion
  whitening_too_small = 3,  // fewer than 2 counted tokens
  value_not_finite = 4,     // index: element of the array that `array` names
  action_invalid = 5,       // index: step
  no_action_allowed = 6,    // index: step
  weight_overflow = 7,      // index: step, exp(beta x advantage) is infinite
  probability_one = 8,      // index: pair, orpo at a probability of 1
  logit_not_a_number = 9,   // index: row
  logits_all_masked = 10,   // index: row, every logit is minus infinity
  token_invalid = 11,       // index: row, token outside the vocabulary
};

struct Fault {
  FaultKind kind = FaultKind::none;
  std::int32_t array = 0;  // value_not_finite: which array, in the order of the batch's fields
  std::int64_t index = -1;
};

// Sizes that lie in device memory too (the last entries of group_offsets and cu_seqlens) and that the host
// needs.
struct Extent {
  std::int64_t completions = 0;
  std::int64_t tokens = 0;
};

enum class Element : std::int32_t { float32, bfloat16 };

// rl::LogitsBatch with rows of either element, `stride` elements apart.
struct LogitsRows {
  const void* logits = nullptr;
  Element element = Element::float32;
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::int64_t stride = 0;
  double temperature = 1;
  const std::int32_t* tokens = nullptr;  // [rows], null: no log-probs
};

struct LogitsGradient {
  rl::LogitsCoefficients<float> coefficients;
  // [rows], of the rows' statistics; where they are null (entropies: needed with entropy_gradients only) they
  // are computed, which reads the rows twice.
  const float* log_sum_exp = nullptr;
  const float* entropies = nullptr;
  void* gradients =
      nullptr;  // [rows, stride] of the element of the logits, aligned as they are; may be the logits
};

// logits = hidden x weightsᵀ in row chunks that never hold more than `chunk_rows` x vocabulary numbers.
struct LinearRows {
  const void* hidden = nullptr;   // [rows, width]
  const void* weights = nullptr;  // [vocabulary, width]
  Element element = Element::bfloat16;
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::int64_t vocabulary = 0;
  std::int64_t chunk_rows = 0;  // 0 = at most 64 MiB of logits
  double temperature = 1;
  const std::int32_t* tokens = nullptr;  // [rows]
};

// d loss / d hidden and d loss / d weights, both float32; null = not wanted.
struct LinearGradient {
  rl::LogitsCoefficients<float> coefficients;  // a row whose coefficients are 0 costs nothing
  const float* log_sum_exp = nullptr;          // [rows], as those of LogitsGradient
  const float* entropies = nullptr;
  float* hidden_gradients = nullptr;  // [rows, width], written everywhere
  float* weight_gradients = nullptr;  // [vocabulary, width], added to
};

// A sum tree in device memory with the layout of rl::SumTree (sums of all levels, then minima above the
// leaves).
struct DeviceSumTree {
  std::int64_t leaves = 0;
  double* sums = nullptr;
  double* minima = nullptr;
};

constexpr std::uint32_t kernels_version = 4;

// A null entry: this library has no such kernel.
struct Kernels {
  std::uint32_t version;
  std::uint32_t bytes;  // sizeof(Kernels)
  const char* name;     // "cuda", or "host" where the sources run on the processor

  // `returns` only with Estimator::gae. advantages: [completions], or [tokens] for a rule per token.
  int (*advantages)(const rl::AdvantageRule&, const rl::AdvantageBatch<float>&, const Extent&,
                    float* advantages, float* returns, rl::AdvantageMetrics* metrics, Fault* fault, Launch&);
  int (*gae)(const rl::GaeRule&, const rl::GaeBatch<float>&, std::int64_t tokens, float* advantages,
             float* returns, Launch&);
  // selected: [tokens], those that covariance singles out, or null: chosen here. clip_cov draws its tokens by
  // a hash of all log-probs in their order and has to bring them.
  int (*policy_loss)(const rl::LossRule&, const rl::LossBatch<float>&, std::int64_t tokens,
                     const std::uint8_t* selected, float* log_prob_gradients, float* entropy_gradients,
                     rl::LossValue* value, Launch&);
  int (*value_loss)(const rl::ValueRule&, const rl::ValueBatch<float>&, std::int64_t tokens, float* gradients,
                    rl::ValueLossResult* value, Launch&);
  int (*kl_rows)(rl::KlDirection, const rl::KlRowsBatch<float>&, float* values, float* gradients, Launch&);
  int (*kl_tokens)(const rl::KlRule&, const rl::KlTokensBatch<float>&, float* values, float* gradients,
                   Launch&);
  int (*kl_reward)(const rl::KlRewardRule&, const rl::KlRewardBatch<float>&, std::int64_t tokens,
                   float* results, rl::KlRewardMetrics* metrics, Launch&);
  // top_k: at most 1,024.
  int (*logits_statistics)(const LogitsRows&, const rl::LogitsStatistics<float>&, Fault* fault, Launch&);
  int (*logits_gradient)(const LogitsRows&, const LogitsGradient&, Fault* fault, Launch&);
  int (*q_targets)(const rl::QTargetRule&, const rl::QTargetBatch<float>&, float* targets, Fault* fault,
                   Launch&);
  int (*q_loss)(const rl::QLossRule&, const rl::QLossBatch<float>&, rl::QLossValue* value, Fault* fault,
                Launch&);
  int (*dueling_q)(rl::DuelingCentre, const rl::DuelingShape&, const float* values, const float* advantages,
                   float* q, Launch&);
  int (*dueling_gradients)(rl::DuelingCentre, const rl::DuelingShape&, const float* advantages,
                           const float* q_gradients, float* value_gradients, float* advantage_gradients,
                           Launch&);
  int (*polyak_average)(double rate, const float* online, float* target, std::int64_t count, Launch&);
  // Of equal indices the last counts.
  int (*sum_tree_set)(const DeviceSumTree&, const std::int32_t* indices, const double* weights,
                      std::int64_t count, Launch&);
  int (*sum_tree_rebuild)(const DeviceSumTree&, Launch&);
  // Indices are -1 where all leaves are 0.
  int (*sample_prioritized)(const DeviceSumTree&, rl::ReplaySampling, std::uint64_t seed,
                            std::uint64_t first_draw, std::int32_t* indices, std::int64_t count, Launch&);
  int (*sample_uniform)(std::int64_t size, std::uint64_t seed, std::uint64_t first_draw,
                        std::int32_t* indices, std::int64_t count, Launch&);
  int (*replay_weights)(const DeviceSumTree&, std::int64_t size, double beta, rl::ReplayNormalization,
                        const std::int32_t* indices, double* weights, std::int64_t count, Launch&);
  int (*preference_loss)(const rl::PreferenceRule&, const rl::PreferenceBatch<float>&, std::int64_t tokens,
                         float* gradients, rl::PreferenceValue* value, Fault* fault, Launch&);
  int (*vtrace)(const rl::VtraceRule&, const rl::ReturnsBatch<float>&, std::int64_t tokens, float* targets,
                float* advantages, Launch&);
  int (*retrace)(const rl::RetraceRule&, const rl::ReturnsBatch<float>&, std::int64_t tokens, float* targets,
                 Launch&);
  int (*upgo)(const rl::UpgoRule&, const rl::ReturnsBatch<float>&, std::int64_t tokens, float* returns,
              float* advantages, Launch&);
  // sequences: [rows], only for weights of sequences.
  int (*importance_weights)(const rl::WeightRule&, const rl::RolloutBatch<float>&, std::int64_t tokens,
                            float* weights, float* sequences, rl::WeightMetrics* metrics, Launch&);
  // Applies one criterion: takes rejected tokens out of `mask` [tokens] and rows out of `keep` [rows], both
  // initialised by the caller.
  int (*rejection)(const rl::Criterion&, double log_ratio_limit, double count_epsilon,
                   const rl::RolloutBatch<float>&, std::int64_t tokens, std::uint8_t* mask,
                   std::uint8_t* keep, rl::CriterionMetrics* metrics, Launch&);
  int (*linear_statistics)(const LinearRows&, const rl::LogitsStatistics<float>&, Fault* fault, Launch&);
  int (*linear_gradient)(const LinearRows&, const LinearGradient&, Fault* fault, Launch&);
  int (*mismatch_metrics)(const rl::RolloutBatch<float>&, std::int64_t tokens, rl::MismatchMetrics* metrics,
                          Launch&);
  // weights: [rows]
  int (*gamma_weights)(const rl::GammaWeight&, const rl::GammaBatch<float>&, std::int64_t tokens,
                       float* weights, Launch&);
};

}  // namespace adjudge::cuda

// The one symbol of the library.
extern "C" __attribute__((visibility("default"))) const adjudge::cuda::Kernels* adjudge_cuda_kernels();
