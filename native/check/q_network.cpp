// Dueling heads and Polyak averages against the f64 reference; the sum tree of a replay buffer and its draws
// against the processor's, which they equal to the bit.
#include "check/data.h"
#include "check/report.h"
#include "core/error.h"
#include "device/rl.h"
#include "rl/replay.h"

namespace adjudge::check {
namespace {

using device::Choice;

void compare_dueling(Report& report, const std::string& name, rl::DuelingCentre centre,
                     const rl::DuelingShape& shape) {
  report.compare("dueling", name, [&](Comparison& comparison) {
    Random random(report.options().seed + 7);
    const std::size_t count = shape.steps * shape.actions * shape.quantiles;
    const Numbers values = numbers(random, shape.steps * shape.quantiles, -2, 2);
    const Numbers advantages = numbers(random, count, -2, 2), slopes = numbers(random, count, -1, 1);
    std::vector<float> q(count), value_gradients(values.size()), gradients(count);
    std::vector<double> expected_q(count), expected_values(values.size()), expected(count);
    device::dueling_q(Choice::cuda, centre, shape, values.get<float>(), advantages.get<float>(), q.data());
    rl::dueling_q(centre, shape, values.get<double>(), advantages.get<double>(), expected_q.data());
    device::dueling_gradients(Choice::cuda, centre, shape, advantages.get<float>(), slopes.get<float>(),
                              value_gradients.data(), gradients.data());
    rl::dueling_gradients(centre, shape, advantages.get<double>(), slopes.get<double>(),
                          expected_values.data(), expected.data());
    comparison.add("q", q, expected_q);
    comparison.add("value_gradients", value_gradients, expected_values);
    comparison.add("advantage_gradients", gradients, expected);
  });
}

void compare_polyak(Report& report) {
  report.compare("polyak_average", "rate 0.005", [&](Comparison& comparison) {
    Random random(report.options().seed + 8);
    const std::size_t count = report.options().tokens + 3;
    const Numbers online = numbers(random, count, -2, 2);
    Numbers target = numbers(random, count, -2, 2);
    device::polyak_average(Choice::cuda, 0.005, online.get<float>(), target.single.data(), count);
    rl::polyak_average(0.005, online.get<double>(), target.dual.data(), count);
    comparison.add("target", target.single, target.dual);
  });
}

void check_entry(const void* entry) {
  if (!entry) throw Error("DEVICE_UNSUPPORTED", "this library has no kernel for it");
}

void compare_replay(Report& report) {
  report.compare("replay", "stratified", [&](Comparison& comparison) {
    Random random(report.options().seed + 9);
    const std::size_t leaves = report.options().tokens, draws = 4096, changes = leaves / 20;
    std::vector<double> sums(rl::SumTree::sums_length(leaves)), minima(rl::SumTree::minima_length(leaves));
    for (std::size_t i = 0; i < leaves; ++i) sums[i] = random.uniform();
    std::vector<double> sums_there = sums, minima_there = minima;
    std::vector<std::int32_t> indices(changes), drawn(draws), expected_draws(draws);
    std::vector<double> weights(changes), importance(draws), expected_importance(draws);
    for (std::size_t k = 0; k < changes; ++k) {
      indices[k] = static_cast<std::int32_t>(random.below(leaves));
      weights[k] = random.uniform();
    }
    device::Session session(device::cuda());
    const cuda::Kernels& kernels = session.kernels();
    check_entry(reinterpret_cast<const void*>(kernels.sum_tree_set));
    const cuda::DeviceSumTree tree{static_cast<std::int64_t>(leaves),
                                   session.in_out(sums_there.data(), sums_there.size()),
                                   session.in_out(minima_there.data(), minima_there.size())};
    const auto* const places = session.in(indices.data(), changes);
    const auto* const leaves_there = session.in(weights.data(), changes);
    auto* const drawn_there = session.out(drawn.data(), draws);
    auto* const importance_there = session.out(importance.data(), draws);
    session.launch("sum_tree_rebuild",
                   [&](cuda::Launch& launch) { return kernels.sum_tree_rebuild(tree, launch); });
    session.launch("sum_tree_set", [&](cuda::Launch& launch) {
      return kernels.sum_tree_set(tree, places, leaves_there, static_cast<std::int64_t>(changes), launch);
    });
    session.launch("sample_prioritized", [&](cuda::Launch& launch) {
      return kernels.sample_prioritized(tree, rl::ReplaySampling::stratified, 5, 100, drawn_there,
                                        static_cast<std::int64_t>(draws), launch);
    });
    session.launch("replay_weights", [&](cuda::Launch& launch) {
      return kernels.replay_weights(tree, static_cast<std::int64_t>(leaves), 0.5,
                                    rl::ReplayNormalization::batch, drawn_there, importance_there,
                                    static_cast<std::int64_t>(draws), launch);
    });
    session.finish();
    rl::SumTree host(leaves, sums.data(), minima.data());
    host.rebuild();
    host.set(indices.data(), weights.data(), changes);
    rl::sample_prioritized(host, rl::ReplaySampling::stratified, 5, 100, expected_draws.data(), draws);
    rl::importance_weights(host, leaves, 0.5, rl::ReplayNormalization::batch, expected_draws.data(),
                           expected_importance.data(), draws);
    comparison.add("sums", sums_there, sums);
    comparison.add("minima", minima_there, minima);
    comparison.add("indices", drawn, expected_draws);
    comparison.add("weights", importance, expected_importance);
  });
}

}  // namespace

void check_q_network(Report& report) {
  const std::size_t steps = report.options().tokens / 16;
  compare_dueling(report, "mean", rl::DuelingCentre::mean, {steps, 19, 1});
  compare_dueling(report, "max", rl::DuelingCentre::max, {steps, 19, 1});
  compare_dueling(report, "mean, quantiles", rl::DuelingCentre::mean, {steps / 8, 6, 11});
  compare_dueling(report, "max, quantiles", rl::DuelingCentre::max, {steps / 8, 6, 11});
  compare_polyak(report);
  compare_replay(report);
}

}  // namespace adjudge::check
