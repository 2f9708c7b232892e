// The body of the GAE kernels, included once per instruction set.
#pragma once
#include <type_traits>

#include "native/cpu/gae_kernels.h"
#include "native/cpu/gae_output.h"

namespace adjudge {
namespace {

// What a rule makes of a block of Numbers. opposite: gamma - 1, which keeps its digits in f32 where gamma
// does not.
template <typename Block, typename Number>
struct GaeConstants {
  explicit GaeConstants(const rl::GaeRule& rule)
      : gamma(rule.gamma),
        decay(rule.gamma * rule.lambda),
        opposite(Block{} - static_cast<Number>(1 - rule.gamma)) {
    constexpr int64_t lanes = sizeof(Block) / sizeof(Number);
    double power = 1;
    for (int64_t i = lanes; i-- > 0;) carried[i] = static_cast<Number>(power *= decay);
    whole = power;
    power = decay;
    for (Block& each : powers) {
      each = Block{} + static_cast<Number>(power);
      power *= power;
    }
  }

  double gamma, decay;
  Block opposite;
  Block powers[4];  // decay to the 1, 2, 4, 8
  Block carried;    // decay^(lanes - i)
  double whole;     // decay^lanes
};

// One row, tokens [begin, end), from its end: suffix sums of delta[t] = reward + gamma next value - value
// within a block, and the block after it carried in, in f64. Per token 16 bytes; 18 operations a block.
// Blocks lie from the row's end, so the bits do not depend on addresses.
template <typename Block, typename Number, typename Output>
class GaeRow {
 public:
  GaeRow(const rl::GaeRule& rule, const GaeConstants<Block, Number>& constants,
         const rl::GaeBatch<float>& batch, double bootstrap, Output& output)
      : rule_(rule),
        constants_(constants),
        rewards_(batch.rewards),
        values_(batch.values),
        mask_(batch.mask),
        above_(Block{} + static_cast<Number>(bootstrap)),
        output_(output) {}

  inline __attribute__((always_inline)) void run(int64_t begin, int64_t end) {
    int64_t t = end - lanes;
    for (; t >= begin; t -= lanes) {
      const Gaps gaps = mask_ != nullptr ? gaps_of<lanes>(mask_ + t) : Gaps::none;
      if (gaps == Gaps::none) {
        Block here, reward;
        take(values_ + t, here);
        take(rewards_ + t, reward);
        const Block sum = advantages_of(here, reward);
        output_.block(t, sum, sum + here);
      } else if (gaps == Gaps::all && rule_.skip_masked) {
        output_.block(t, Block{}, Block{});
      } else {
        tokens(t, t + lanes);
      }
    }
    const int64_t rest = t + lanes - begin;
    if (rest == 0) return;
    if (mask_ != nullptr) return tokens(begin, begin + rest);
    Block here, reward;
    take_last(values_ + begin, rest, here);
    take_last(rewards_ + begin, rest, reward);
    const Block sum = advantages_of(here, reward);
    output_.last(begin, rest, sum, sum + here);
  }

 private:
  static constexpr int64_t lanes = sizeof(Block) / sizeof(Number);

  inline __attribute__((always_inline)) Block advantages_of(const Block& here, const Block& reward) {
    const Block after = shifted<1>(here, above_);
    const Block sums =
        suffix_sums(reward + fused(constants_.opposite, after, after - here), constants_.powers);
    const Block sum = fused(constants_.carried, Block{} + static_cast<Number>(running_), sums);
    running_ = static_cast<double>(sums[0]) + constants_.whole * running_;
    above_ = here;
    return sum;
  }

  // One by one.
  inline __attribute__((always_inline)) void tokens(int64_t begin, int64_t end) {
    Number next = above_[0];
    for (int64_t t = end; t-- > begin;) {
      if (mask_ != nullptr && mask_[t] == 0) {
        output_.one(t, 0, 0);
        if (rule_.skip_masked) continue;
        running_ = constants_.gamma * static_cast<double>(next) + constants_.decay * running_;
        next = 0;
        continue;
      }
      const double here = values_[t];
      running_ =
          rewards_[t] + constants_.gamma * static_cast<double>(next) - here + constants_.decay * running_;
      next = static_cast<Number>(here);
      output_.one(t, static_cast<float>(running_), static_cast<float>(running_ + here));
    }
    above_ = Block{} + next;
  }

  const rl::GaeRule& rule_;
  const GaeConstants<Block, Number>& constants_;
  const float* rewards_;
  const float* values_;
  const uint8_t* mask_;
  Block above_;  // its first lane is the value after the block
  double running_ = 0;
  Output& output_;
};

template <typename Block, typename Number>
ADJUDGE_INLINE void gae_rows_of(const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, int64_t first,
                                int64_t end, const GaeOutput& arrays) {
  const GaeConstants<Block, Number> constants(rule);
  // From the last row, so that the whole stretch is read and written in one direction.
  const auto run = [&](auto& output) {
    for (int64_t row = end; row-- > first;) {
      const double bootstrap =
          batch.bootstrap_values != nullptr ? static_cast<double>(batch.bootstrap_values[row]) : 0;
      GaeRow<Block, Number, std::remove_reference_t<decltype(output)>> one(rule, constants, batch, bootstrap,
                                                                           output);
      one.run(batch.cu_seqlens[row], batch.cu_seqlens[row + 1]);
    }
  };
  if (!arrays.stream) {
    DirectOutput<false> output(arrays.advantages, arrays.returns);
    return run(output);
  }
  uintptr_t unaligned = 0;
  for (int64_t row = first; row <= end; ++row) {
    unaligned |= reinterpret_cast<uintptr_t>(arrays.advantages + batch.cu_seqlens[row]);
    unaligned |= reinterpret_cast<uintptr_t>(arrays.returns + batch.cu_seqlens[row]);
  }
  if (unaligned % sizeof(Block) == 0 && batch.mask == nullptr) {
    DirectOutput<true> output(arrays.advantages, arrays.returns);
    return run(output);
  }
  LinesOutput output(arrays.advantages, arrays.returns, batch.cu_seqlens[end]);
  run(output);
}

// Beyond this decay the rounding of so many blocks adds up that the blocks themselves are in f64.
constexpr double single_decay = 0.999;

void gae_rows(const rl::GaeRule& rule, const rl::GaeBatch<float>& batch, int64_t first, int64_t end,
              const GaeOutput& output) {
  if (rule.gamma * rule.lambda <= single_decay) {
    gae_rows_of<Singles, float>(rule, batch, first, end, output);
  } else {
    gae_rows_of<Doubles, double>(rule, batch, first, end, output);
  }
#if defined(__SSE2__)
  if (output.stream) _mm_sfence();
#endif
}

}  // namespace
}  // namespace adjudge
