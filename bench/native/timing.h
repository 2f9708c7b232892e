// Seconds of interleaved rounds, their medians and quartiles.
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <vector>

namespace adjudge::bench {

inline double seconds_now() {
  using clock = std::chrono::steady_clock;
  return std::chrono::duration<double>(clock::now().time_since_epoch()).count();
}

template <class Body>
double seconds_of(const Body& body) {
  const double began = seconds_now();
  body();
  return seconds_now() - began;
}

// Median and quartiles, by linear interpolation between the sorted values.
struct Middle {
  double value = 0;
  double low = 0;
  double high = 0;
};

inline Middle middle_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    const double place = share * static_cast<double>(values.size() - 1);
    const size_t below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (place - std::floor(place)) * (values[above] - values[below]);
  };
  return {at(0.5), at(0.25), at(0.75)};
}

// Seconds[contender][round]. Every round runs all contenders once, so that what else the machine does touches
// all alike; a round that does not count comes first. After `longest` seconds three rounds must do.
inline std::vector<std::vector<double>> interleaved(const std::vector<std::function<void()>>& contenders,
                                                    int rounds, double longest = 25) {
  std::vector<std::vector<double>> seconds(contenders.size());
  for (const auto& contender : contenders) contender();
  const double began = seconds_now();
  for (int round = 0; round < rounds; round++) {
    if (round >= 3 && seconds_now() - began > longest) break;
    for (size_t i = 0; i < contenders.size(); i++) seconds[i].push_back(seconds_of(contenders[i]));
  }
  return seconds;
}

}  // namespace adjudge::bench
