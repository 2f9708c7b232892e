// What each kernel was found to be, printed as it comes and written as JSON.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "device/session.h"

namespace adjudge::check {

struct Options {
  bool host = false;   // the shim: correctness only
  bool quick = false;  // small arrays
  std::uint64_t seed = 1;
  std::string only;         // a part of the kernel's name
  std::size_t tokens = 0;   // of the batches compared
  double time_limit = 300;  // seconds, after which no more timings are taken
};

// Compares results with the reference's, each to tolerance x (1 + |expected|).
class Comparison {
 public:
  explicit Comparison(double tolerance = 1e-5) : tolerance_(tolerance) {}

  void add(const std::string& what, double got, double expected);
  template <typename Got, typename Expected>
  void add(const std::string& what, const std::vector<Got>& got, const std::vector<Expected>& expected) {
    for (std::size_t i = 0; i < got.size(); ++i) {
      if (excepted && excepted(i)) {
        ++excepted_count;
        continue;
      }
      compare(got[i], expected[i], [&] { return what + "[" + std::to_string(i) + "]"; });
    }
  }

  // A decision at a threshold may fall otherwise where rounding decides: such places are counted, not
  // compared.
  std::function<bool(std::size_t)> excepted;
  std::size_t compared = 0;
  std::size_t excepted_count = 0;
  double worst = 0;     // |got - expected| / (1 + |expected|)
  std::string failure;  // the first that is not met

 private:
  void compare(double got, double expected, const std::function<std::string()>& name);
  double tolerance_;
};

struct Timing {
  double milliseconds = 0;
  double gigabytes_per_second = 0;
  double share = 0;  // of the bandwidth of a copy within the device, timed in turns with it
};

class Report {
 public:
  explicit Report(const Options& options) : options_(options) {}

  bool wanted(const std::string& kernel) const;
  const Options& options() const { return options_; }

  // Runs one comparison; an Error that it throws is a failure, DEVICE_UNSUPPORTED (no kernel) is skipped.
  void compare(const std::string& kernel, const std::string& rule,
               const std::function<void(Comparison&)>& body);
  // Times a kernel of arrays that lie on the device. `bytes`: what it has to read and write at least.
  void time(const std::string& kernel, const std::string& shape, device::Session& session, double bytes,
            const std::function<int(cuda::Launch&)>& launch);

  bool timing() const;  // is there time left, and a device
  int failures() const { return failures_; }
  void summary() const;
  // {"format", "device", …, "results": [...]}
  std::string json() const;

 private:
  struct Line {
    std::string kernel, rule, state, reason;
    std::size_t compared = 0, excepted = 0;
    double worst = 0;
  };
  struct TimeLine {
    std::string kernel, shape;
    double bytes;
    Timing timing;
    double copy_gigabytes_per_second;
  };

  const Options options_;
  double began_ = now();
  std::vector<Line> lines_;
  std::vector<TimeLine> times_;
  int met_ = 0, failures_ = 0, skipped_ = 0;

  static double now();
};

void check_advantages(Report& report);
void check_returns(Report& report);
void check_off_policy(Report& report);
void check_policy_loss(Report& report);
void check_value_and_kl(Report& report);
void check_logits(Report& report);
void check_linear(Report& report);
void check_q(Report& report);
void check_q_network(Report& report);
void check_preference_loss(Report& report);
void time_kernels(Report& report);

}  // namespace adjudge::check
