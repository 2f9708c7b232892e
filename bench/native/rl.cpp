// The kernels of native/rl beside their floors: plain loops over the same bytes (floor.h), in turns.
//   bench_rl [--rounds N] [--threads N] [--only TEXT] [--quick] [--json FILE]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <unistd.h>

#include "native/core/error.h"
#include "native/core/thread_pool.h"
#include "native/cpu/gemm.h"
#include "figures.h"
#include "rl_advantages.h"
#include "rl_losses.h"
#include "rl_off_policy.h"
#include "rl_q.h"
#include "rl_returns.h"
#include "rl_rows.h"

namespace {

using namespace adjudge::bench;

constexpr const char* usage =
    "bench_rl [options]: the kernels of native/rl beside plain loops over the same bytes, in turns\n"
    "  --rounds N    that count, after one that does not (9)\n"
    "  --threads N   (all processors)\n"
    "  --only TEXT   the cases whose name has it\n"
    "  --quick       arrays of a sixteenth, of which much stays in cache: a look, not a measurement\n"
    "  --json FILE   the figures\n";

struct Options {
  int rounds = 9;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  double size = 1;
  std::string only;
  std::string json;
};

// The most that the memory gave to a plain loop: reading alone, or copying with non-temporal stores, 1 GiB.
double bandwidth(double size, int rounds) {
  Array<float> from(scaled(size, int64_t{1} << 28)), to(scaled(size, int64_t{1} << 28));
  const Bands read{{{from.data()}, {}, from.size()}}, copied{{{from.data()}, {to.data()}, to.size()}};
  const auto seconds = interleaved({[&] { run_floor(read, Stores::ordinary); },  //
                                    [&] { run_floor(copied, Stores::non_temporal); }},
                                   rounds);
  return std::max(bytes_of(read) / middle_of(seconds[0]).value,
                  bytes_of(copied) / middle_of(seconds[1]).value) /
         1e9;
}

struct Floor {
  const char* stores;
  std::function<void()> run;
};

// A kernel may choose its stores: the faster kind is its floor.
std::vector<Floor> floors_of(const Case& one) {
  if (one.floor) return {{"", one.floor}};
  std::vector<Floor> floors{{"ordinary", [&] { run_floor(one.bands, Stores::ordinary); }}};
  for (const Band& band : one.bands) {
    if (band.writes.empty()) continue;
    floors.push_back({"non-temporal", [&] { run_floor(one.bands, Stores::non_temporal); }});
    return floors;
  }
  floors[0].stores = "";
  return floors;
}

Figure measure(const NamedCase& named, const Options& options, double peak) {
  const Case one = named.make(options.size);
  const std::vector<Floor> floors = floors_of(one);
  std::vector<std::function<void()>> contenders{one.kernel};
  for (const Floor& floor : floors) contenders.push_back(floor.run);
  const auto seconds = interleaved(contenders, options.rounds);
  size_t best = 1;
  for (size_t i = 2; i < seconds.size(); i++) {
    if (middle_of(seconds[i]).value < middle_of(seconds[best]).value) best = i;
  }
  std::vector<double> shares;
  for (size_t round = 0; round < seconds[0].size(); round++)
    shares.push_back(seconds[best][round] / seconds[0][round]);
  const Middle share = middle_of(shares);
  const double kernel = middle_of(seconds[0]).value, floor = middle_of(seconds[best]).value;
  const double gigabytes = one.bytes() / 1e9;
  std::printf("%-44s %5.2f %8.1f %7.1f %7.1f  %-12s %4.0f %% (%.0f to %.0f)  %3.0f %%\n", named.name.c_str(),
              gigabytes, kernel * 1e3, gigabytes / kernel, gigabytes / floor, floors[best - 1].stores,
              100 * share.value, 100 * share.low, 100 * share.high, 100 * gigabytes / kernel / peak);
  std::fflush(stdout);
  return {named.name, share, gigabytes / floor};
}

int run(const Options& options) {
  adjudge::set_threads(options.threads);
  std::vector<NamedCase> cases;
  for (const auto& more :
       {advantage_cases(), returns_cases(), loss_cases(), off_policy_cases(), row_cases(), q_cases()}) {
    for (const NamedCase& one : more) {
      if (one.name.find(options.only) != std::string::npos) cases.push_back(one);
    }
  }
  if (cases.empty()) {
    std::fprintf(stderr, "--only %s: no case has it in its name\n", options.only.c_str());
    return 2;
  }
  const double peak = bandwidth(options.size, options.rounds);
  std::printf("instruction set %s, %d threads, %d rounds; memory at %.1f GB/s\n", adjudge::instruction_set(),
              options.threads, options.rounds, peak);
  std::printf("%-44s %5s %8s %7s %7s  %-12s %-20s %s\n", "medians", "GB", "ms", "GB/s", "floor", "its stores",
              "share of the floor", "of the bandwidth");
  const bool terminal = isatty(STDERR_FILENO) == 1;
  std::vector<Figure> figures;
  for (size_t i = 0; i < cases.size(); i++) {
    if (terminal) std::fprintf(stderr, "%zu of %zu: %s ...\r", i + 1, cases.size(), cases[i].name.c_str());
    figures.push_back(measure(cases[i], options, peak));
  }
  if (!options.json.empty() && !write_figures(options.json, options.threads, "of floor", figures)) return 1;
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; i++) {
    const std::string name = arguments[i];
    const char* value = i + 1 < count ? arguments[i + 1] : "";
    if (name == "--help") {
      std::fputs(usage, stdout);
      return 0;
    }
    if (name == "--quick") {
      options.size = 1.0 / 16;
      continue;
    }
    if (name == "--rounds") options.rounds = std::atoi(value);
    if (name == "--threads") options.threads = std::atoi(value);
    if (name == "--only") options.only = value;
    if (name == "--json") options.json = value;
    const bool known = name == "--rounds" || name == "--threads" || name == "--only" || name == "--json";
    if (!known || ++i >= count || options.rounds < 1 || options.threads < 1) {
      std::fprintf(stderr, "%s: not understood\n%s", name.c_str(), usage);
      return 2;
    }
  }
  try {
    return run(options);
  } catch (const adjudge::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
