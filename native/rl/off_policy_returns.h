#pragma once

#include <cstddef>
#include <cstdint>

// Returns of packed ragged sequences that another policy sampled: V-trace (Espeholt et al. 2018), Retrace
// (Munos et al. 2016), and UPGO (Vinyals et al. 2019). Tokens whose mask is 0 are no steps; what is written
// there is 0.
namespace adjudge::rl {

template <typename Float>
struct ReturnsBatch {
  const Float* rewards = nullptr;        // [tokens]
  const Float* values = nullptr;         // [tokens]: of the state before the token
  const Float* action_values = nullptr;  // [tokens]: of state and token (Retrace)
  const Float* log_ratios = nullptr;  // [tokens]: log of policy over behaviour policy; null = the same policy
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
  const std::uint8_t* mask = nullptr;       // [tokens], null = all count
  const Float* bootstrap_values = nullptr;  // [rows]: value of the state after the last token; null = 0
};

struct VtraceRule {
  double gamma = 1;
  double lambda = 1;
  double rho_clip = 1;                  // of the temporal difference
  double c_clip = 1;                    // of the trace
  double policy_gradient_rho_clip = 1;  // of the advantage
};

// targets: what the values should have been; advantages: of the policy gradient.
template <typename Float>
void vtrace(const VtraceRule& rule, const ReturnsBatch<Float>& batch, Float* targets, Float* advantages);

struct RetraceRule {
  double gamma = 1;
  double lambda = 1;
  double c_clip = 1;  // infinite: importance sampling without a bound
};

// targets: what the action values should have been.
template <typename Float>
void retrace(const RetraceRule& rule, const ReturnsBatch<Float>& batch, Float* targets);

struct UpgoRule {
  double gamma = 1;
  double rho_clip = 1;
};

// returns: followed on only where the next step did better than its value; advantages: clipped ratio x
// (return - value).
template <typename Float>
void upgo(const UpgoRule& rule, const ReturnsBatch<Float>& batch, Float* returns, Float* advantages);

}  // namespace adjudge::rl
