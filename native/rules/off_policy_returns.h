#pragma once

#include <cstddef>
#include <cstdint>

#include "rules/double_lane.h"

// Returns of packed ragged sequences that another policy sampled: V-trace (Espeholt et al. 2018), Retrace
// (Munos et al. 2016), and UPGO (Vinyals et al. 2019).
namespace adjudge::rl {

template <typename Float>
struct ReturnsBatch {
  const Float* rewards = nullptr;        // [tokens]
  const Float* values = nullptr;         // [tokens]: of the state before the token
  const Float* action_values = nullptr;  // [tokens]: of state and token (Retrace)
  const Float* log_ratios = nullptr;  // [tokens]: log of policy over behaviour policy; null = the same policy
  const std::int32_t* cu_seqlens = nullptr;
  std::size_t rows = 0;
  const std::uint8_t* mask = nullptr;       // [tokens], null = all count; others are no steps
  const Float* bootstrap_values = nullptr;  // [rows]: value of the state after the last token; null = 0
};

// Bounds of the ratio; infinity: none.
struct VtraceRule {
  double gamma = 1;
  double lambda = 1;
  double rho_clip = 1;                  // of the temporal difference
  double c_clip = 1;                    // of the trace
  double policy_gradient_rho_clip = 1;  // of the advantage
};

struct RetraceRule {
  double gamma = 1;
  double lambda = 1;
  double c_clip = 1;  // infinite: importance sampling without a bound
};

struct UpgoRule {
  double gamma = 1;
  double rho_clip = 1;
};

// A ratio stays within e^-708 and e^709: an infinite one times a difference of 0 would be NaN, and powers
// below are no normal numbers. Products of ratios may still overflow where the rule sets no bound.
constexpr double least_log_ratio = -708;
constexpr double largest_log_ratio = 709;

// And where maps of a recurrence are composed, the product of their decays stays here, for the same reason.
constexpr double largest_decay = 1e300;

// What the kernels share. The three are recurrences from a sequence's end, x_t = sum + decay x_{t+1}, whose
// outputs follow from x_t and x_{t+1}. Number: double, or a vector of doubles (cpu/doubles.h), one token
// each.
template <typename Number>
struct Step {
  Number reward;
  Number value;
  Number action_value;  // where `takes_action_values`
  Number ratio;
  Number next_value;
};

template <typename Number>
struct Recurrence {
  Number sum;
  Number decay;
};

template <typename Number>
struct Results {
  Number first;
  Number second;  // where `outputs` is 2
};

// x: how far the target lies from the value.
template <typename Number>
struct VtraceTerms {
  static constexpr bool takes_action_values = false;
  static constexpr int outputs = 2;  // targets, advantages

  ADJUDGE_DEVICE explicit VtraceTerms(const VtraceRule& rule)
      : gamma(rule.gamma),
        decay(rule.gamma * rule.lambda),
        rho_clip(rule.rho_clip),
        c_clip(rule.c_clip),
        policy_gradient_rho_clip(rule.policy_gradient_rho_clip) {}

  ADJUDGE_DEVICE static double start(double) { return 0; }
  ADJUDGE_DEVICE Number difference(const Step<Number>& step) const {
    return step.reward + (gamma * step.next_value - step.value);
  }
  ADJUDGE_DEVICE Recurrence<Number> recurrence(const Step<Number>& step) const {
    return {minimum(rho_clip, step.ratio) * difference(step), decay * minimum(c_clip, step.ratio)};
  }
  ADJUDGE_DEVICE Results<Number> results(const Step<Number>& step, const Number& next,
                                         const Number& here) const {
    return {step.value + here,
            minimum(policy_gradient_rho_clip, step.ratio) * (difference(step) + decay * next)};
  }

  Number gamma, decay, rho_clip, c_clip, policy_gradient_rho_clip;
};

// x: what the step and those after it are worth to the step before.
template <typename Number>
struct RetraceTerms {
  static constexpr bool takes_action_values = true;
  static constexpr int outputs = 1;  // targets

  ADJUDGE_DEVICE explicit RetraceTerms(const RetraceRule& rule)
      : gamma(rule.gamma), lambda(rule.lambda), c_clip(rule.c_clip) {}

  ADJUDGE_DEVICE static double start(double bootstrap) { return bootstrap; }
  ADJUDGE_DEVICE Recurrence<Number> recurrence(const Step<Number>& step) const {
    const Number trace = lambda * minimum(c_clip, step.ratio);
    return {step.value + trace * (step.reward - step.action_value), gamma * trace};
  }
  ADJUDGE_DEVICE Results<Number> results(const Step<Number>& step, const Number& next, const Number&) const {
    return {step.reward + gamma * next, next};
  }

  Number gamma, lambda, c_clip;
};

// x: the return, cut to the value where the step falls short of it.
template <typename Number>
struct UpgoTerms {
  static constexpr bool takes_action_values = false;
  static constexpr int outputs = 2;  // returns, advantages

  ADJUDGE_DEVICE explicit UpgoTerms(const UpgoRule& rule) : gamma(rule.gamma), rho_clip(rule.rho_clip) {}

  ADJUDGE_DEVICE static double start(double bootstrap) { return bootstrap; }
  ADJUDGE_DEVICE Recurrence<Number> recurrence(const Step<Number>& step) const {
    const auto follows = at_most(step.value, step.reward + gamma * step.next_value);
    return {select(follows, step.reward, step.value), select(follows, gamma, Number(0.0))};
  }
  ADJUDGE_DEVICE Results<Number> results(const Step<Number>& step, const Number& next, const Number&) const {
    const Number followed = step.reward + gamma * next;
    return {followed, minimum(rho_clip, step.ratio) * (followed - step.value)};
  }

  Number gamma, rho_clip;
};

}  // namespace adjudge::rl
