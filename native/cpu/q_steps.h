// The Q losses of a range of steps. Included once per instruction set after its lanes. Terms of single steps
// go through blocks of them; then each row of whole Q gets its gradients. Reads what the batch names once and
// writes 4 bytes a number of Q; a row's conservative term passes over it three times, in the caches.
#pragma once
#include "native/cpu/q_rows.h"
#include "native/rules/q_terms.h"

namespace adjudge {
namespace {

constexpr int64_t block_steps = 256;

struct StepSums {
  WideSum td, value, policy, conservative;  // weighted
  WideSum action_q, target, priority, state_value, policy_weight;
  double row_td = 0, row_conservative = 0, row_action_q = 0, row_target = 0, steps = 0;

  void into(rl::QLossValue& sums) const {
    sums.td += td.total() + row_td;
    sums.conservative += conservative.total() + row_conservative;
    sums.value += value.total();
    sums.policy += policy.total();
    sums.action_q += action_q.total() + row_action_q;
    sums.target += target.total() + row_target;
    sums.priority += priority.total();
    sums.state_value += state_value.total();
    sums.policy_weight += policy_weight.total();
    sums.steps += steps;
  }
};

// 0 where the step does not count.
ADJUDGE_INLINE Lanes read_live(const float* from, const Mask& live, int64_t left, Mask& bad) {
  const Lanes x = select(live, load_lanes(from, left), Lanes(0.0f));
  bad = either(bad, not_finite(x));
  return x;
}

ADJUDGE_INLINE void fill_zero(float* to, int64_t count) {
  __builtin_memset(to, 0, static_cast<size_t>(count) * sizeof(float));
}

// powers: e^((Q - top) / temperature) over the row. Returns their sum.
template <bool Masked>
double boltzmann_row(const QRow& row, float top, float inverse_temperature, float* powers) {
  WideSum total;
  Mask ignored = first_lanes(0);
  for (int64_t i = 0; i < row.count; i += Lanes::width) {
    const Lanes power = boltzmann(read_row<false, Masked>(row, i, ignored), top, inverse_temperature);
    store_lanes(powers + i, power, Lanes::width);
    total.add(power);
  }
  return total.total();
}

// Writes at(i), the lanes from i on of a row, `own` more in the lane `action`: past the caches where the
// place is aligned and `stream` is wanted. A store of that one number alone would stall the row's next load.
template <typename At>
ADJUDGE_INLINE void put_row(float* to, int64_t count, int64_t action, float own, bool stream, At&& at) {
  float numbers[Lanes::width];
  for (int64_t k = 0; k < Lanes::width; ++k) numbers[k] = static_cast<float>(k);
  const Lanes lane = load_lanes(numbers, Lanes::width);
  const auto lanes_at = [&](int64_t i) {
    return at(i) + select(equal(lane, Lanes(static_cast<float>(action - i))), Lanes(own), Lanes(0.0f));
  };
  int64_t i = 0;
  if (stream && reinterpret_cast<uintptr_t>(to) % sizeof(Lanes) == 0) {
    for (; i + Lanes::width <= count; i += Lanes::width) stream_lanes(to + i, lanes_at(i));
  }
  for (; i < count; i += Lanes::width) store_lanes(to + i, lanes_at(i), count - i);
}

ADJUDGE_INLINE void end_stream() {
#if defined(__x86_64__)
  __builtin_ia32_sfence();
#endif
}

class LossRange {
 public:
  LossRange(const rl::QLossRule& rule, const rl::QLossBatch<float>& batch, double scale,
            const QScratch& scratch, bool stream)
      : rule_(rl::q_loss_constants(rule)),
        batch_(batch),
        scale_(static_cast<float>(scale)),
        actions_(static_cast<int64_t>(batch.actions)),
        quantiles_(static_cast<int64_t>(batch.quantiles)),
        scratch_(scratch),
        stream_(stream) {}

  bool run(int64_t first, int64_t end) {
    for (int64_t start = first; start < end; start += block_steps) {
      start_ = start;
      count_ = end - start < block_steps ? end - start : block_steps;
      weigh();
      for (std::size_t h = 0; h < batch_.head_count; ++h) {
        if (!(batch_.heads[h].q ? whole(batch_.heads[h], h == 0) : gathered(batch_.heads[h], h == 0)))
          return false;
      }
      if (batch_.targets) keep_priorities();
      if (batch_.values) value_and_policy();
    }
    return !any_of(bad_);
  }

  StepSums sums;

 private:
  Mask live_at(int64_t i, int64_t left) const {
    return batch_.mask ? both(first_lanes(left), nonzero_bytes(batch_.mask + start_ + i, left))
                       : first_lanes(left);
  }

  void weigh() {
    for (int64_t i = 0; i < count_; i += Lanes::width) {
      const int64_t left = count_ - i;
      const Mask live = live_at(i, left);
      sums.steps += __builtin_popcount(bits_of(live));
      const Lanes weight = batch_.weights ? read_live(batch_.weights + start_ + i, live, left, bad_)
                                          : select(live, Lanes(1.0f), Lanes(0.0f));
      store_lanes(weights_ + i, weight, Lanes::width);
      store_lanes(priorities_ + i, Lanes(0.0f), Lanes::width);
    }
  }

  // TD and, of the gathered form, the conservative term; slopes_: d loss / d Q(a).
  void step_terms(const rl::QHead<float>& head, const float* action_q, bool first) {
    const Lanes td_factor(scale_ * rule_.td_coefficient);
    const Lanes factor(scale_ * rule_.conservative_coefficient);
    for (int64_t i = 0; i < count_; i += Lanes::width) {
      const int64_t left = count_ - i;
      const Mask live = live_at(i, left);
      const Lanes weight = load_lanes(weights_ + i, Lanes::width);
      const Lanes q = read_live(action_q + i, live, left, bad_);
      if (first) sums.action_q.add(q);
      Lanes slope(0.0f);
      if (batch_.targets) {
        const Lanes target = read_live(batch_.targets + start_ + i, live, left, bad_);
        const Lanes error = q - target;
        const rl::QTerm<Lanes> term = rl::td_lanes(rule_, error);
        sums.td.add(weight * term.value);
        slope = td_factor * weight * term.slope;
        store_lanes(priorities_ + i, maximum(absolute(error), load_lanes(priorities_ + i, Lanes::width)),
                    Lanes::width);
        if (first) sums.target.add(target);
      }
      if (!head.q && rule_.conservative_coefficient != 0) {
        const Lanes sum = read_live(head.log_sum_exp + start_ + i, live, left, bad_);
        sums.conservative.add(weight * (sum - q));
        const Lanes share = factor * weight;
        slope = slope - share;
        if (head.log_sum_exp_gradients) store_lanes(head.log_sum_exp_gradients + start_ + i, share, left);
      }
      store_lanes(slopes_ + i, slope, Lanes::width);
    }
  }

  bool gathered(const rl::QHead<float>& head, bool first) {
    if (rule_.td == rl::TdKind::quantile && batch_.targets) return false;
    step_terms(head, head.action_q + start_, first);
    if (!head.action_q_gradients) return true;
    for (int64_t i = 0; i < count_; i += Lanes::width)
      store_lanes(head.action_q_gradients + start_ + i, load_lanes(slopes_ + i, Lanes::width), count_ - i);
    return true;
  }

  bool counts(int64_t t) const { return !batch_.mask || batch_.mask[t]; }

  bool whole(const rl::QHead<float>& head, bool first) {
    for (int64_t i = 0; i < count_; ++i) {
      const int64_t t = start_ + i;
      own_q_[i] = 0;
      if (!counts(t)) continue;
      const int32_t action = batch_.taken[t];
      if (action < 0 || action >= actions_) return false;
      if (batch_.action_mask && !batch_.action_mask[t * actions_ + action]) return false;
      if (quantiles_ == 1) own_q_[i] = head.q[t * actions_ + action];
    }
    if (rule_.td == rl::TdKind::quantile || quantiles_ != 1) return quantile_rows(head, first);
    step_terms(head, own_q_, first);
    if (rule_.conservative_coefficient == 0) {
      for (int64_t i = 0; i < count_; ++i) {
        if (float* const gradients = gradients_of(head, i))
          put_row(gradients, actions_, batch_.taken[start_ + i], slopes_[i], stream_,
                  [](int64_t) { return Lanes(0.0f); });
      }
      return true;
    }
    const auto body =
        batch_.action_mask ? &LossRange::conservative_rows<true> : &LossRange::conservative_rows<false>;
    const int64_t several = several_rows(actions_);
    for (int64_t i = 0; i < count_; i += several)
      (this->*body)(head, i, i + several < count_ ? i + several : count_);
    add_conservative();
    return true;
  }

  // Null where the step does not count: its gradients are 0 then.
  float* gradients_of(const rl::QHead<float>& head, int64_t i) const {
    float* const gradients = head.q_gradients + (start_ + i) * actions_;
    if (counts(start_ + i)) return gradients;
    fill_zero(gradients, actions_);
    return nullptr;
  }

  // Several rows go through each stage together: the stages of one row wait for each other.
  template <bool Masked>
  void conservative_rows(const rl::QHead<float>& head, int64_t first, int64_t end) {
    const auto row_of = [&](int64_t i) {
      const int64_t at = (start_ + i) * actions_;
      return QRow{head.q + at, nullptr, Masked ? batch_.action_mask + at : nullptr, actions_};
    };
    const int64_t stride = padded_row(actions_);
    const float inverse = 1 / rule_.conservative_temperature;
    Mask wrong = first_lanes(0);
    for (int64_t i = first; i < end; ++i)
      tops_[i] = counts(start_ + i) ? largest_of<false, Masked>(row_of(i), wrong) : 0;
    for (int64_t i = first; i < end; ++i) {
      float* const powers = scratch_.rows + (i - first) * stride;
      totals_[i] = counts(start_ + i)
                       ? static_cast<float>(boltzmann_row<Masked>(row_of(i), tops_[i], inverse, powers))
                       : 1;
    }
    for (int64_t i = first; i < end; ++i) {
      float* const gradients = gradients_of(head, i);
      if (!gradients) continue;
      const float* const powers = scratch_.rows + (i - first) * stride;
      const float factor = scale_ * rule_.conservative_coefficient * weights_[i];
      const Lanes share(factor / totals_[i]);
      put_row(gradients, actions_, batch_.taken[start_ + i], slopes_[i] - factor, stream_,
              [&](int64_t k) { return load_lanes(powers + k, Lanes::width) * share; });
    }
    bad_ = either(bad_, wrong);
  }

  void add_conservative() {
    for (int64_t i = 0; i < count_; i += Lanes::width) {
      const Mask live = live_at(i, count_ - i);
      const Lanes log_sum = logarithm(select(live, load_lanes(totals_ + i, Lanes::width), Lanes(1.0f)));
      const Lanes above = select(
          live, load_lanes(tops_ + i, Lanes::width) - load_lanes(own_q_ + i, Lanes::width), Lanes(0.0f));
      sums.conservative.add(load_lanes(weights_ + i, Lanes::width) *
                            multiply_add(Lanes(rule_.conservative_temperature), log_sum, above));
    }
  }

  bool quantile_rows(const rl::QHead<float>& head, bool first) {
    if (rule_.td != rl::TdKind::quantile) return false;
    for (int64_t i = 0; i < count_; ++i) {
      const int64_t t = start_ + i;
      const int64_t width = actions_ * quantiles_;
      float* const gradients = head.q_gradients + t * width;
      fill_zero(gradients, width);
      if (!counts(t)) continue;
      const int64_t own = batch_.taken[t] * quantiles_;
      const float* const q = head.q + t * width;
      const double mean = quantile_sum(q + own, nullptr, quantiles_, bad_) / static_cast<double>(quantiles_);
      if (first) sums.row_action_q += mean;
      if (batch_.targets) quantile_td(q + own, i, gradients + own, first);
      if (rule_.conservative_coefficient != 0) conservative_quantiles(q, mean, i, gradients);
    }
    return true;
  }

  // All pairs of a quantile and a target: about 10 flops each.
  void quantile_td(const float* q, int64_t i, float* gradients, bool first) {
    const float* const targets = batch_.targets + (start_ + i) * quantiles_;
    const double target_sum = quantile_sum(targets, nullptr, quantiles_, bad_);
    const float inverse = 1.0f / static_cast<float>(quantiles_);
    const Lanes factor(-scale_ * rule_.td_coefficient * weights_[i] * inverse);
    float steps[Lanes::width];
    for (int64_t k = 0; k < Lanes::width; ++k) steps[k] = static_cast<float>(k) + 0.5f;
    WideSum loss;
    for (int64_t k = 0; k < quantiles_; k += Lanes::width) {
      const int64_t left = quantiles_ - k;
      const Mask inside = first_lanes(left);
      const Lanes quantile = load_lanes(q + k, left);
      const Lanes fraction =
          (load_lanes(steps, Lanes::width) + Lanes(static_cast<float>(k))) * Lanes(inverse);
      Lanes slope(0.0f);
      for (int64_t j = 0; j < quantiles_; ++j) {
        const rl::QTerm<Lanes> term = rl::quantile_lanes(rule_, Lanes(targets[j]) - quantile, fraction);
        loss.add(select(inside, term.value, Lanes(0.0f)));
        slope = slope + term.slope;
      }
      store_lanes(gradients + k, factor * slope, left);
    }
    const double step_loss = loss.total() * inverse;
    sums.row_td += weights_[i] * step_loss;
    if (first) sums.row_target += target_sum * inverse;
    if (priorities_[i] < step_loss) priorities_[i] = static_cast<float>(step_loss);
  }

  // Over the means of the quantiles.
  void conservative_quantiles(const float* q, double own_mean, int64_t i, float* gradients) {
    const uint8_t* const allowed =
        batch_.action_mask ? batch_.action_mask + (start_ + i) * actions_ : nullptr;
    const double temperature = rule_.conservative_temperature;
    double largest = own_mean;
    for (int64_t a = 0; a < actions_; ++a) {
      if (allowed && !allowed[a]) continue;
      scratch_.numbers[a] =
          quantile_sum(q + a * quantiles_, nullptr, quantiles_, bad_) / static_cast<double>(quantiles_);
      if (scratch_.numbers[a] > largest) largest = scratch_.numbers[a];
    }
    double total = 0;
    for (int64_t a = 0; a < actions_; ++a) {
      if (allowed && !allowed[a]) continue;
      scratch_.numbers[a] = __builtin_exp((scratch_.numbers[a] - largest) / temperature);
      total += scratch_.numbers[a];
    }
    const int64_t taken = batch_.taken[start_ + i];
    sums.row_conservative += weights_[i] * (largest + temperature * __builtin_log(total) - own_mean);
    const double factor = static_cast<double>(scale_) * weights_[i] * rule_.conservative_coefficient /
                          static_cast<double>(quantiles_);
    for (int64_t a = 0; a < actions_; ++a) {
      if (allowed && !allowed[a]) continue;
      const auto share = static_cast<float>(factor * (scratch_.numbers[a] / total - (a == taken ? 1 : 0)));
      for (int64_t k = 0; k < quantiles_; ++k) gradients[a * quantiles_ + k] += share;
    }
  }

  void keep_priorities() {
    for (int64_t i = 0; i < count_; i += Lanes::width) {
      const Lanes priority = load_lanes(priorities_ + i, Lanes::width);
      sums.priority.add(priority);
      if (batch_.priorities) store_lanes(batch_.priorities + start_ + i, priority, count_ - i);
    }
  }

  void value_and_policy() {
    const Lanes value_factor(scale_ * rule_.value_coefficient);
    const Lanes policy_factor(-scale_ * rule_.policy_coefficient);
    for (int64_t i = 0; i < count_; i += Lanes::width) {
      const int64_t left = count_ - i, t = start_ + i;
      const Mask live = live_at(i, left);
      const Lanes weight = load_lanes(weights_ + i, Lanes::width);
      const Lanes value = read_live(batch_.values + t, live, left, bad_);
      Lanes target = read_live(batch_.target_q + t, live, left, bad_);
      if (batch_.twin_target_q)
        target = minimum(target, read_live(batch_.twin_target_q + t, live, left, bad_));
      const Lanes advantage = target - value;
      const rl::QTerm<Lanes> term = rl::expectile_lanes(rule_, advantage);
      sums.state_value.add(value);
      sums.value.add(weight * term.value);
      if (batch_.value_gradients)
        store_lanes(batch_.value_gradients + t, value_factor * weight * term.slope, left);
      if (!batch_.policy_weights) continue;
      bad_ = either(bad_, both(live, rl::policy_weight_overflows(rule_, advantage)));
      const Lanes policy = select(live, rl::policy_weight_lanes(rule_, advantage), Lanes(0.0f));
      sums.policy_weight.add(policy);
      store_lanes(batch_.policy_weights + t, policy, left);
      if (!batch_.log_probs) continue;
      const Lanes weighted = weight * policy;
      sums.policy.add(-(weighted * read_live(batch_.log_probs + t, live, left, bad_)));
      store_lanes(batch_.log_prob_gradients + t, policy_factor * weighted, left);
    }
  }

  const rl::QLossConstants rule_;
  const rl::QLossBatch<float>& batch_;
  const float scale_;
  const int64_t actions_;
  const int64_t quantiles_;
  const QScratch scratch_;
  const bool stream_;
  int64_t start_ = 0;
  int64_t count_ = 0;
  Mask bad_ = first_lanes(0);
  float weights_[block_steps];
  float own_q_[block_steps];
  float slopes_[block_steps];
  float priorities_[block_steps];
  float tops_[block_steps];
  float totals_[block_steps];
};

bool loss(const rl::QLossRule& rule, const rl::QLossBatch<float>& batch, double scale, int64_t first,
          int64_t end, const QScratch& scratch, bool stream, rl::QLossValue& sums) {
  LossRange range(rule, batch, scale, scratch, stream);
  const bool sound = range.run(first, end);
  if (stream) end_stream();
  if (!sound) return false;
  range.sums.into(sums);
  return true;
}

}  // namespace
}  // namespace adjudge
