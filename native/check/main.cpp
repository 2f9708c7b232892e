// check_gpu: the CUDA kernels against the f64 reference on random batches, and their speed. Needs neither
// Node nor a test library. Exit code 0: all met, or there is no GPU; 1: something is not met; 2: wrong
// options.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "check/report.h"
#include "core/error.h"
#include "core/file.h"

namespace {

constexpr const char* usage =
    "usage: check_gpu --library FILE [--json FILE] [--host] [--quick] [--seed N] [--only KERNEL]\n"
    "  --library FILE  the library of CUDA kernels\n"
    "  --host          it is the host shim: kernels on the processor, correctness only\n"
    "  --quick         small batches and no timings\n";

int run(const adjudge::check::Options& options, const std::string& json, bool timed) {
  using namespace adjudge::check;
  const adjudge::device::Cuda& cuda = adjudge::device::cuda();
  if (!cuda.usable) {
    std::printf("check_gpu: skipped, %s\n", cuda.reason.c_str());
    return 0;
  }
  if (cuda.host_shim != options.host) {
    std::fprintf(stderr, "check_gpu: the library %s the host shim, and --host %s given\n",
                 cuda.host_shim ? "is" : "is not", options.host ? "was" : "was not");
    return 2;
  }
  std::printf("check_gpu: %s, library: %s\n", cuda.description.name, cuda.build.c_str());
  Report report(options);
  check_advantages(report);
  check_returns(report);
  check_policy_loss(report);
  check_off_policy(report);
  check_value_and_kl(report);
  check_logits(report);
  check_linear(report);
  check_q(report);
  check_q_network(report);
  check_preference_loss(report);
  int failed = 0;
  if (timed) {
    try {
      time_kernels(report);
    } catch (const adjudge::Error& error) {
      std::printf("not met  timings: %s: %s\n", error.code.c_str(), error.what());
      failed = 1;
    }
  }
  report.summary();
  if (!json.empty()) adjudge::write_file_atomically(json, report.json());
  return report.failures() > 0 || failed ? 1 : 0;
}

}  // namespace

int main(int count, char** arguments) {
  adjudge::check::Options options;
  std::string json;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    const bool has_value = i + 1 < count;
    if (name == "--host") {
      options.host = true;
    } else if (name == "--quick") {
      options.quick = true;
    } else if (name == "--library" && has_value) {
      setenv("ADJUDGE_CUDA_LIBRARY", arguments[++i], 1);
    } else if (name == "--json" && has_value) {
      json = arguments[++i];
    } else if (name == "--seed" && has_value) {
      options.seed = std::strtoull(arguments[++i], nullptr, 10);
    } else if (name == "--only" && has_value) {
      options.only = arguments[++i];
    } else {
      std::fputs(usage, stderr);
      return 2;
    }
  }
  options.tokens = options.quick ? 6'000 : 400'000;
  try {
    return run(options, json, !options.host && !options.quick);
  } catch (const adjudge::Error& error) {
    std::fprintf(stderr, "check_gpu: %s: %s\n", error.code.c_str(), error.what());
    return 1;
  }
}
