// Times of the kernels on large arrays that lie on the device, as shares of the speed of a copy within it.
#include "check/data.h"
#include "check/report.h"
#include "core/thread_pool.h"
#include "device/upload.h"
#include "rl/dueling.h"
#include "rl/replay.h"

namespace adjudge::check {
namespace {

// Every element its own number of the seed, on all threads.
std::vector<float> filled(std::uint64_t seed, std::size_t count, double low, double high) {
  std::vector<float> values(count);
  constexpr std::size_t block = std::size_t{1} << 20;
  parallel_for(static_cast<std::int64_t>((count + block - 1) / block), [&](std::int64_t item, int) {
    const std::size_t begin = static_cast<std::size_t>(item) * block;
    Random random(seed * 1000003 + static_cast<std::uint64_t>(item));
    for (std::size_t i = begin; i < std::min(count, begin + block); ++i) {
      values[i] = static_cast<float>(random.between(low, high));
    }
  });
  return values;
}

template <typename Element>
Element* device_array(device::Session& session, std::size_t count) {
  return static_cast<Element*>(session.memory(count * sizeof(Element)));
}

// Every part gives its memory back at its end; what an older one kept counts too.
template <typename Body>
void part(Report& report, const char* kernel, Body&& body) {
  if (!report.wanted(kernel) || !report.timing()) return;
  std::printf("timing   %s\n", kernel);
  std::fflush(stdout);
  device::Session session(device::cuda());
  body(session, session.kernels());
}

constexpr std::size_t side = 8192;
constexpr std::size_t tokens = side * side;

}  // namespace

void time_kernels(Report& report) {
  part(report, "advantages", [&](device::Session& session, const cuda::Kernels& kernels) {
    if (!kernels.advantages) return;
    const std::size_t completions = std::size_t{1} << 26;
    const auto rewards = filled(1, completions, 0, 1);
    const auto groups = uniform_rows(completions / 8, 8);
    rl::AdvantageBatch<float> batch;
    batch.rewards = rewards.data();
    batch.group_offsets = groups.data();
    batch.groups = groups.size() - 1;
    const auto there = device::upload(session, batch);
    auto* out = device_array<float>(session, completions);
    auto* metrics = device_array<rl::AdvantageMetrics>(session, 1);
    auto* fault = device_array<cuda::Fault>(session, 1);
    const double bytes = 8.0 * completions + 4.0 * static_cast<double>(groups.size());
    report.time("advantages", "2^26 completions in groups of 8", session, bytes, [&](cuda::Launch& launch) {
      return kernels.advantages({}, there, {static_cast<std::int64_t>(completions), 0}, out, nullptr, metrics,
                                fault, launch);
    });
  });
  part(report, "gae", [&](device::Session& session, const cuda::Kernels& kernels) {
    if (!kernels.gae) return;
    const auto rewards = filled(2, tokens, -1, 1), values = filled(3, tokens, -1, 1);
    for (const std::size_t length : {side, std::size_t{256}}) {
      const auto rows = uniform_rows(tokens / length, length);
      const auto there = device::upload(
          session,
          rl::GaeBatch<float>{rewards.data(), values.data(), rows.data(), rows.size() - 1, nullptr, nullptr});
      auto* advantages = device_array<float>(session, tokens);
      auto* returns = device_array<float>(session, tokens);
      report.time("gae", std::to_string(tokens / length) + " x " + std::to_string(length), session,
                  16.0 * tokens, [&](cuda::Launch& launch) {
                    return kernels.gae({0.99, 0.95, true}, there, tokens, advantages, returns, launch);
                  });
    }
  });
  part(report, "vtrace retrace upgo", [&](device::Session& session, const cuda::Kernels& kernels) {
    const auto rewards = filled(20, tokens, -1, 1), values = filled(21, tokens, -1, 1),
               log_ratios = filled(22, tokens, -1, 1), action_values = filled(23, tokens, -1, 1);
    const auto rows = uniform_rows(side, side);
    rl::ReturnsBatch<float> batch;
    batch.rewards = rewards.data();
    batch.values = values.data();
    batch.action_values = action_values.data();
    batch.log_ratios = log_ratios.data();
    batch.cu_seqlens = rows.data();
    batch.rows = rows.size() - 1;
    const auto there = device::upload(session, batch);
    auto* targets = device_array<float>(session, tokens);
    auto* advantages = device_array<float>(session, tokens);
    if (kernels.vtrace) {
      report.time("vtrace", "8192 x 8192", session, 20.0 * tokens, [&](cuda::Launch& launch) {
        return kernels.vtrace({}, there, tokens, targets, advantages, launch);
      });
    }
    if (kernels.retrace) {
      report.time("retrace", "8192 x 8192", session, 20.0 * tokens,
                  [&](cuda::Launch& launch) { return kernels.retrace({}, there, tokens, targets, launch); });
    }
    if (kernels.upgo) {
      report.time("upgo", "8192 x 8192", session, 20.0 * tokens, [&](cuda::Launch& launch) {
        return kernels.upgo({}, there, tokens, targets, advantages, launch);
      });
    }
  });
  part(report, "policy_loss", [&](device::Session& session, const cuda::Kernels& kernels) {
    if (!kernels.policy_loss) return;
    Random random(4);
    const auto rows = ragged(random, tokens, 2048);
    const auto log_probs = filled(4, tokens, -3, 0), old = filled(5, tokens, -3, 0),
               other = filled(6, tokens, -3, 0);
    const auto advantages = filled(7, rows.size() - 1, -1, 1);
    rl::LossBatch<float> batch;
    batch.log_probs = log_probs.data();
    batch.old_log_probs = old.data();
    batch.reference_log_probs = other.data();
    batch.advantages = advantages.data();
    batch.cu_seqlens = rows.data();
    batch.rows = rows.size() - 1;
    const auto there = device::upload(session, batch);
    auto* gradients = device_array<float>(session, tokens);
    auto* value = device_array<rl::LossValue>(session, 1);
    for (const bool sequence : {false, true}) {
      rl::LossRule rule;
      rule.kl.coefficient = 0.1;
      if (sequence) rule.ratio = rl::Ratio::sequence;
      report.time("policy_loss", sequence ? "2^26 tokens, sequence ratio, k3" : "2^26 tokens, clip, k3",
                  session, (sequence ? 24.0 : 16.0) * tokens, [&](cuda::Launch& launch) {
                    return kernels.policy_loss(rule, there, tokens, nullptr, gradients, nullptr, value,
                                               launch);
                  });
    }
  });
  part(report, "value_loss", [&](device::Session& session, const cuda::Kernels& kernels) {
    if (!kernels.value_loss) return;
    const auto values = filled(8, tokens, -1, 1), old = filled(9, tokens, -1, 1),
               returns = filled(10, tokens, -1, 1);
    const auto rows = uniform_rows(side, side);
    rl::ValueRule rule;
    rule.clip = 0.2;
    rl::ValueBatch<float> batch;
    batch.values = values.data();
    batch.old_values = old.data();
    batch.returns = returns.data();
    batch.cu_seqlens = rows.data();
    batch.rows = rows.size() - 1;
    const auto there = device::upload(session, batch);
    auto* gradients = device_array<float>(session, tokens);
    auto* value = device_array<rl::ValueLossResult>(session, 1);
    report.time("value_loss", "2^26 tokens, clip", session, 16.0 * tokens, [&](cuda::Launch& launch) {
      return kernels.value_loss(rule, there, tokens, gradients, value, launch);
    });
  });
  part(report, "preference_loss", [&](device::Session& session, const cuda::Kernels& kernels) {
    if (!kernels.preference_loss) return;
    const auto log_probs = filled(12, tokens, -3, 0), other = filled(13, tokens, -3, 0);
    const auto rows = uniform_rows(tokens / 64, 64);
    std::vector<std::int32_t> chosen, rejected;
    for (std::int32_t row = 0; row + 1 < static_cast<std::int32_t>(tokens / 64); row += 2) {
      chosen.push_back(row);
      rejected.push_back(row + 1);
    }
    rl::PreferenceBatch<float> batch;
    batch.log_probs = log_probs.data();
    batch.reference_log_probs = other.data();
    batch.cu_seqlens = rows.data();
    batch.completions = rows.size() - 1;
    batch.chosen = chosen.data();
    batch.rejected = rejected.data();
    batch.pairs = chosen.size();
    const auto there = device::upload(session, batch);
    auto* gradients = device_array<float>(session, tokens);
    auto* value = device_array<rl::PreferenceValue>(session, 1);
    auto* fault = device_array<cuda::Fault>(session, 1);
    report.time("preference_loss", "dpo, 2^26 tokens in completions of 64", session, 12.0 * tokens,
                [&](cuda::Launch& launch) {
                  return kernels.preference_loss({}, there, tokens, gradients, value, fault, launch);
                });
  });
  part(report, "importance_weights rejection mismatch_metrics",
       [&](device::Session& session, const cuda::Kernels& kernels) {
         const auto log_probs = filled(16, tokens, -4, -0.1), rollout = filled(17, tokens, -4, -0.1);
         const auto rows = uniform_rows(side, side);
         rl::RolloutBatch<float> batch;
         batch.log_probs = log_probs.data();
         batch.rollout_log_probs = rollout.data();
         batch.cu_seqlens = rows.data();
         batch.rows = rows.size() - 1;
         const auto there = device::upload(session, batch);
         if (kernels.importance_weights) {
           rl::WeightRule rule;
           rule.high = 2;
           auto* weights = device_array<float>(session, tokens);
           auto* metrics = device_array<rl::WeightMetrics>(session, 1);
           report.time("importance_weights", "2^26 tokens, clipped", session, 12.0 * tokens,
                       [&](cuda::Launch& launch) {
                         return kernels.importance_weights(rule, there, tokens, weights, nullptr, metrics,
                                                           launch);
                       });
         }
         if (kernels.rejection) {
           const rl::Criterion criterion{rl::RejectionStatistic::k3, rl::RejectionLevel::sequence_mean, 0,
                                         1e9};
           auto* mask = device_array<std::uint8_t>(session, tokens);
           auto* keep = device_array<std::uint8_t>(session, batch.rows);
           auto* metrics = device_array<rl::CriterionMetrics>(session, 1);
           report.time(
               "rejection", "2^26 tokens, k3 of rows", session, 8.0 * tokens, [&](cuda::Launch& launch) {
                 return kernels.rejection(criterion, 20, 0, there, tokens, mask, keep, metrics, launch);
               });
         }
         if (kernels.mismatch_metrics) {
           auto* metrics = device_array<rl::MismatchMetrics>(session, 1);
           report.time("mismatch_metrics", "2^26 tokens", session, 8.0 * tokens, [&](cuda::Launch& launch) {
             return kernels.mismatch_metrics(there, tokens, metrics, launch);
           });
         }
       });
  part(report, "logits", [&](device::Session& session, const cuda::Kernels& kernels) {
    const std::size_t lines = 4096, width = 49152;
    const auto logits = filled(11, lines * width, -10, 10);
    std::vector<std::int32_t> ids(lines, 17);
    cuda::LogitsRows rows;
    rows.logits = session.in(logits.data(), logits.size());
    rows.rows = lines;
    rows.width = rows.stride = width;
    rows.tokens = session.in(ids.data(), ids.size());
    auto* measures = device_array<float>(session, 4 * lines);
    auto* fault = device_array<cuda::Fault>(session, 1);
    rl::LogitsStatistics<float> statistics;
    statistics.log_probs = measures;
    statistics.log_sum_exp = measures + lines;
    statistics.entropies = measures + 2 * lines;
    if (kernels.logits_statistics) {
      report.time(
          "logits_statistics", "[4096, 49152] float32", session, 4.0 * lines * width,
          [&](cuda::Launch& launch) { return kernels.logits_statistics(rows, statistics, fault, launch); });
    }
    if (kernels.logits_gradient) {
      const auto slopes = filled(12, lines, -1, 1);
      cuda::LogitsGradient gradient;
      gradient.log_sum_exp = statistics.log_sum_exp;
      gradient.coefficients.log_prob_gradients = session.in(slopes.data(), lines);
      gradient.gradients = device_array<float>(session, lines * width);
      report.time(
          "logits_gradient", "[4096, 49152] float32", session, 8.0 * lines * width,
          [&](cuda::Launch& launch) { return kernels.logits_gradient(rows, gradient, fault, launch); });
    }
    if (kernels.kl_rows) {
      const auto other = filled(13, lines * width, -10, 10);
      const rl::KlRowsBatch<float> batch{static_cast<const float*>(rows.logits),
                                         session.in(other.data(), other.size()), nullptr, lines, width};
      report.time("kl_rows", "[4096, 49152]", session, 8.0 * lines * width, [&](cuda::Launch& launch) {
        return kernels.kl_rows(rl::KlDirection::reverse, batch, measures, nullptr, launch);
      });
    }
  });
  part(report, "q_", [&](device::Session& session, const cuda::Kernels& kernels) {
    const std::size_t steps = std::size_t{1} << 20, actions = 64;
    const auto q = filled(14, steps * actions, -1, 1), rewards = filled(15, steps, -1, 1);
    const std::vector<std::int32_t> taken(steps, 3);
    auto* fault = device_array<cuda::Fault>(session, 1);
    auto* targets = device_array<float>(session, steps);
    if (kernels.q_targets) {
      rl::QTargetBatch<float> batch;
      batch.steps = steps;
      batch.actions = actions;
      batch.rewards = rewards.data();
      batch.next_q = q.data();
      const auto there = device::upload(session, batch);
      report.time("q_targets", "2^20 steps, 64 actions, max", session, 4.0 * steps * (actions + 2),
                  [&](cuda::Launch& launch) { return kernels.q_targets({}, there, targets, fault, launch); });
    }
    if (kernels.q_loss) {
      rl::QLossBatch<float> batch;
      batch.steps = steps;
      batch.actions = actions;
      batch.heads[0].q = q.data();
      batch.taken = taken.data();
      batch.targets = rewards.data();
      auto there = device::upload(session, batch);
      there.heads[0].q_gradients = device_array<float>(session, steps * actions);
      auto* value = device_array<rl::QLossValue>(session, 1);
      rl::QLossRule rule;
      rule.conservative_coefficient = 0.5;
      report.time("q_loss", "2^20 steps, 64 actions, conservative", session, 8.0 * steps * actions,
                  [&](cuda::Launch& launch) { return kernels.q_loss(rule, there, value, fault, launch); });
    }
  });
  part(report, "dueling", [&](device::Session& session, const cuda::Kernels& kernels) {
    if (!kernels.dueling_q) return;
    const rl::DuelingShape shape{std::size_t{1} << 20, 64, 1};
    const auto advantages = filled(16, tokens, -1, 1), values = filled(17, shape.steps, -1, 1);
    const float* const advantages_there = session.in(advantages.data(), tokens);
    const float* const values_there = session.in(values.data(), shape.steps);
    auto* q = device_array<float>(session, tokens);
    report.time("dueling_q", "2^20 steps, 64 actions", session, 8.0 * tokens, [&](cuda::Launch& launch) {
      return kernels.dueling_q(rl::DuelingCentre::mean, shape, values_there, advantages_there, q, launch);
    });
  });
  part(report, "polyak_average", [&](device::Session& session, const cuda::Kernels& kernels) {
    if (!kernels.polyak_average) return;
    const auto online = filled(18, tokens, -1, 1);
    const float* const online_there = session.in(online.data(), tokens);
    auto* target = device_array<float>(session, tokens);
    report.time("polyak_average", "2^26 parameters", session, 12.0 * tokens, [&](cuda::Launch& launch) {
      return kernels.polyak_average(0.005, online_there, target, tokens, launch);
    });
  });
  part(report, "replay", [&](device::Session& session, const cuda::Kernels& kernels) {
    if (!kernels.sample_prioritized) return;
    const std::size_t leaves = 10'000'000, draws = std::size_t{1} << 20;
    std::vector<double> sums(rl::SumTree::sums_length(leaves)), minima(rl::SumTree::minima_length(leaves));
    for (std::size_t i = 0; i < leaves; ++i) sums[i] = 1 + static_cast<double>(i % 7);
    rl::SumTree(leaves, sums.data(), minima.data()).rebuild();
    const cuda::DeviceSumTree tree{static_cast<std::int64_t>(leaves),
                                   session.in_out(sums.data(), sums.size()),
                                   session.in_out(minima.data(), minima.size())};
    auto* indices = device_array<std::int32_t>(session, draws);
    // A block of children a level, of six, and the index.
    report.time("sample_prioritized", "2^20 draws of 10^7", session, draws * (6 * 128.0 + 4),
                [&](cuda::Launch& launch) {
                  return kernels.sample_prioritized(tree, rl::ReplaySampling::stratified, 1, 0, indices,
                                                    draws, launch);
                });
  });
}

}  // namespace adjudge::check
