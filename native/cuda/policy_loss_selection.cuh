// Which tokens a policy loss looks at: those within keep_ratio, those of high entropy, those that covariance
// singles out (kl_cov). As reference/loss_selection.h, on the device.
#pragma once

#include "cuda/policy_loss.cuh"
#include "cuda/radix_select.cuh"

namespace adjudge::cuda {

struct CovarianceMeans {
  double tokens;
  double advantage;
  double log_prob;
};

class LossSelection {
 public:
  // Takes its memory. covariance: whether tokens are singled out here.
  LossSelection(Enqueue& enqueue, const rl::LossRule& rule, const rl::LossBatch<float>& batch,
                std::int64_t tokens, bool covariance);

  // Enqueues what the rule asks for and enters it into the plan.
  void choose(LossPlan& plan);

  // In device memory: the number of tokens of high entropy; null where all counted tokens teach.
  const std::int32_t* taught() const { return taught_; }

 private:
  void keep(LossPlan& plan);
  void teach(LossPlan& plan);
  void single_out(LossPlan& plan);

  Enqueue& enqueue_;
  const rl::LossRule& rule_;
  std::int64_t tokens_;
  std::int64_t chunks_;
  bool keeps_ = false;
  bool teaches_some_ = false;
  bool singles_out_ = false;
  std::uint8_t* kept_ = nullptr;
  std::uint8_t* teaches_ = nullptr;
  std::uint8_t* selected_ = nullptr;
  std::int32_t* counted_ = nullptr;
  std::int32_t* taught_ = nullptr;
  std::uint32_t* entropy_keys_ = nullptr;
  std::uint64_t* next_key_ = nullptr;
  std::uint64_t* covariance_keys_ = nullptr;
  CovarianceMeans* covariance_parts_ = nullptr;
  CovarianceMeans* means_ = nullptr;
  std::int32_t* ties_ = nullptr;
  RadixState* state_ = nullptr;
};

}  // namespace adjudge::cuda
