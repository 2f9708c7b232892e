// Q targets, Q losses, target networks and draws from a replay buffer.
#pragma once
#include "native/rl/polyak.h"
#include "native/rl/q_loss.h"
#include "native/rl/q_targets.h"
#include "native/rl/replay.h"
#include "rl_case.h"

namespace adjudge::bench {

// One reward and `actions` values of the next state in, one target out.
inline Case q_targets_case(double size, rl::Bootstrap bootstrap) {
  constexpr int64_t actions = 32;
  struct Memory {
    int64_t steps;
    rl::Bootstrap bootstrap;
    Array<float> rewards{steps, [](int64_t i) { return uniform(i, 17); }};
    Array<float> next_q{steps * actions, [](int64_t i) { return centred(i, 18, 1); }};
    Array<float> online_q{bootstrap == rl::Bootstrap::double_q ? steps * actions : 1,
                          [](int64_t i) { return centred(i, 19, 1); }};
    Array<float> targets{steps};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 4'000'000), bootstrap});
  Memory& m = *memory;
  Band wide{{m.next_q.data()}, {}, m.next_q.size()};
  if (bootstrap == rl::Bootstrap::double_q) wide.reads.push_back(m.online_q.data());
  Case result;
  result.bands = {wide, {{m.rewards.data()}, {m.targets.data()}, m.steps}};
  result.kernel = [memory] {
    rl::QTargetRule rule;
    rule.bootstrap = memory->bootstrap;
    rl::QTargetBatch<float> batch;
    batch.steps = static_cast<size_t>(memory->steps);
    batch.actions = actions;
    batch.rewards = memory->rewards.data();
    batch.next_q = memory->next_q.data();
    batch.next_online_q = memory->online_q.data();
    rl::q_targets<float>(rule, batch, memory->targets.data());
  };
  return result;
}

// Whole Q of each step in, its gradients out; an action and a target per step in, a priority out.
inline Case q_loss_case(double size, double conservative) {
  constexpr int64_t actions = 32;
  struct Memory {
    int64_t steps;
    rl::QLossRule rule;
    Array<float> q{steps * actions, [](int64_t i) { return centred(i, 23, 2); }};
    Array<float> gradients{steps * actions};
    Array<float> targets{steps, [](int64_t i) { return centred(i, 24, 2); }};
    Array<int32_t> taken{steps, [](int64_t i) { return uniform(i, 25) * actions; }};
    Array<float> priorities{steps};
  };
  rl::QLossRule rule;
  rule.td = rl::TdKind::huber;
  rule.conservative_coefficient = conservative;
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 4'000'000), rule});
  Memory& m = *memory;
  Case result;
  result.bands = {{{m.q.data()}, {m.gradients.data()}, m.q.size()},
                  {{m.targets.data(), m.taken.stream()}, {m.priorities.data()}, m.steps}};
  result.kernel = [memory] {
    rl::QLossBatch<float> batch;
    batch.steps = static_cast<size_t>(memory->steps);
    batch.actions = actions;
    batch.heads[0].q = memory->q.data();
    batch.heads[0].q_gradients = memory->gradients.data();
    batch.taken = memory->taken.data();
    batch.targets = memory->targets.data();
    batch.priorities = memory->priorities.data();
    rl::q_loss<float>(memory->rule, batch);
  };
  return result;
}

inline Case polyak_case(double size) {
  struct Memory {
    int64_t count;
    Array<float> online{count, [](int64_t i) { return centred(i, 26, 1); }};
    Array<float> target{count, [](int64_t i) { return centred(i, 27, 1); }};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 100'000'000)});
  Memory& m = *memory;
  Case result;
  result.bands = {{{m.online.data(), m.target.data()}, {m.target.data()}, m.count}};
  result.kernel = [memory] {
    rl::polyak_average(0.005, memory->online.data(), memory->target.data(),
                       static_cast<size_t>(memory->count));
  };
  return result;
}

// A draw walks from the root to a leaf and reads the children of every node on its way. The floor reads the
// same children of as many leaves, whose places it knows beforehand.
inline Case replay_case(double size) {
  struct Memory {
    int64_t leaves;
    int64_t draws;
    Array<double> sums{static_cast<int64_t>(rl::SumTree::sums_length(leaves)),
                       [this](int64_t i) { return i < leaves ? uniform(i, 20) : 0.0f; }};
    Array<double> minima{static_cast<int64_t>(rl::SumTree::minima_length(leaves))};
    rl::SumTree tree{static_cast<size_t>(leaves), sums.data(), minima.data()};
    Array<int32_t> places{draws, [this](int64_t i) { return uniform(i, 21) * static_cast<float>(leaves); }};
    Array<int32_t> indices{draws};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 10'000'000), scaled(size, 4'000'000)});
  memory->tree.rebuild();
  constexpr int64_t fan_out = rl::SumTree::fan_out;
  int levels = 0;
  for (int64_t nodes = memory->leaves; nodes > 1; nodes = (nodes + fan_out - 1) / fan_out) levels++;
  Case result;
  result.floor_bytes = static_cast<double>(memory->draws) * (levels * fan_out * sizeof(double) + 4);
  result.floor = [memory] {
    constexpr int64_t chunk = 1 << 14;
    parallel_for((memory->draws + chunk - 1) / chunk, [&](int64_t part, int) {
      const int64_t end = std::min(memory->draws, (part + 1) * chunk);
      for (int64_t draw = part * chunk; draw < end; draw++) {
        double total = 0;
        int64_t start = 0, length = memory->leaves, block = memory->places[draw] / fan_out;
        while (length > 1) {
          const double* children = memory->sums.data() + start + block * fan_out;
          for (int64_t child = 0; child < fan_out; child++) total += children[child];
          const int64_t blocks = (length + fan_out - 1) / fan_out;
          start += blocks * fan_out;
          length = blocks;
          block /= fan_out;
        }
        memory->indices[draw] = static_cast<int32_t>(total);
      }
    });
  };
  result.kernel = [memory] {
    rl::sample_prioritized(memory->tree, rl::ReplaySampling::independent, 22, 0, memory->indices.data(),
                           static_cast<size_t>(memory->draws));
  };
  return result;
}

inline std::vector<NamedCase> q_cases() {
  return {{"q targets, 4 * 10^6 steps of 32 actions",
           [](double size) { return q_targets_case(size, rl::Bootstrap::max); }},
          {"double q targets, the same",
           [](double size) { return q_targets_case(size, rl::Bootstrap::double_q); }},
          {"q loss with gradients, the same", [](double size) { return q_loss_case(size, 0); }},
          {"conservative q loss, the same", [](double size) { return q_loss_case(size, 1); }},
          {"polyak average, 10^8 parameters", polyak_case},
          {"prioritised replay, 10^7 entries", replay_case}};
}

}  // namespace adjudge::bench
