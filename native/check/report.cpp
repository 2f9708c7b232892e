#include "check/report.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "core/error.h"

namespace adjudge::check {
namespace {

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return result + '"';
}

std::string number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Milliseconds of what `work` enqueues, by the device's own clock.
class Stopwatch {
 public:
  explicit Stopwatch(device::Session& session) : session_(session) {
    session.check(runtime().create_event(&from_), "making an event");
    session.check(runtime().create_event(&to_), "making an event");
  }
  ~Stopwatch() {
    runtime().destroy_event(from_);
    runtime().destroy_event(to_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  template <typename Work>
  double time(Work&& work) {
    float milliseconds = 0;
    session_.check(runtime().record(from_, session_.stream()), "recording an event");
    work();
    session_.check(runtime().record(to_, session_.stream()), "recording an event");
    session_.check(runtime().elapsed(from_, to_, &milliseconds), "timing");
    return milliseconds;
  }

 private:
  const cuda::Runtime& runtime() const { return *session_.cuda().runtime; }
  device::Session& session_;
  void* from_ = nullptr;
  void* to_ = nullptr;
};

}  // namespace

double Report::now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void Comparison::add(const std::string& what, double got, double expected) {
  compare(got, expected, [&] { return what; });
}

void Comparison::compare(double got, double expected, const std::function<std::string()>& name) {
  ++compared;
  if (std::isnan(got) && std::isnan(expected)) return;
  if (got == expected) return;
  double error = std::abs(got - expected) / (1 + std::abs(expected));
  if (std::isnan(error)) error = INFINITY;
  worst = std::max(worst, error);
  if (error <= tolerance_ || !failure.empty()) return;
  char text[100];
  std::snprintf(text, sizeof text, " is %.9g, expected %.9g", got, expected);
  failure = name() + text;
}

bool Report::wanted(const std::string& kernel) const {
  return options_.only.empty() || kernel.find(options_.only) != std::string::npos;
}

bool Report::timing() const { return !options_.host && now() - began_ < options_.time_limit; }

void Report::compare(const std::string& kernel, const std::string& rule,
                     const std::function<void(Comparison&)>& body) {
  if (!wanted(kernel)) return;
  Comparison comparison;
  Line line{kernel, rule, "met", "", 0, 0, 0};
  try {
    body(comparison);
    line.reason = comparison.failure;
    if (!line.reason.empty()) line.state = "not met";
  } catch (const Error& error) {
    line.state = error.code == "DEVICE_UNSUPPORTED" ? "skipped" : "not met";
    line.reason = line.state == "skipped" ? "no kernel" : error.code + ": " + error.what();
  }
  line.compared = comparison.compared;
  line.excepted = comparison.excepted_count;
  line.worst = comparison.worst;
  (line.state == "met" ? met_ : line.state == "skipped" ? skipped_ : failures_) += 1;
  std::printf("%-8s %s %s: %zu values, worst error %.2e%s%s\n", line.state.c_str(), kernel.c_str(),
              rule.c_str(), line.compared, line.worst, line.reason.empty() ? "" : "; ", line.reason.c_str());
  std::fflush(stdout);
  lines_.push_back(line);
}

void Report::time(const std::string& kernel, const std::string& shape, device::Session& session, double bytes,
                  const std::function<int(cuda::Launch&)>& launch) {
  constexpr int rounds = 15, repeats = 5;
  constexpr std::size_t copied = std::size_t{512} << 20;
  cuda::Launch settings;
  settings.stream = session.stream();
  settings.measure = true;
  if (const int status = launch(settings)) {
    if (status == cuda::rule_not_computed) return;
    session.check(status, kernel.c_str());
  }
  settings.measure = false;
  settings.workspace = session.memory(settings.workspace_bytes);
  void* const from = session.memory(copied);
  void* const to = session.memory(copied);
  const auto kernel_work = [&] {
    for (int i = 0; i < repeats; ++i) session.check(launch(settings), kernel.c_str());
  };
  const auto copy_work = [&] {
    for (int i = 0; i < repeats; ++i) {
      session.check(session.cuda().runtime->copy_on_device(to, from, copied, session.stream()), "copying");
    }
  };
  Stopwatch watch(session);
  watch.time(kernel_work);  // to warm up
  watch.time(copy_work);
  std::vector<double> kernel_times, copy_times;
  for (int round = 0; round < rounds; ++round) {
    kernel_times.push_back(watch.time(kernel_work) / repeats);
    copy_times.push_back(watch.time(copy_work) / repeats);
  }
  Timing timing;
  timing.milliseconds = median(kernel_times);
  timing.gigabytes_per_second = bytes / timing.milliseconds / 1e6;
  const double copy = 2.0 * copied / median(copy_times) / 1e6;
  timing.share = timing.gigabytes_per_second / copy;
  std::printf("time     %s %s: %.3f ms, %.0f GB/s, %.0f %% of a copy's %.0f GB/s\n", kernel.c_str(),
              shape.c_str(), timing.milliseconds, timing.gigabytes_per_second, 100 * timing.share, copy);
  std::fflush(stdout);
  times_.push_back({kernel, shape, bytes, timing, copy});
}

void Report::summary() const {
  std::printf("check_gpu: %d met, %d not met, %d skipped, %zu timed\n", met_, failures_, skipped_,
              times_.size());
}

std::string Report::json() const {
  const device::Cuda& cuda = device::cuda();
  std::string text =
      "{\n  \"format\": 1,\n  \"device\": " + quoted(cuda.description.name) + ",\n  \"capability\": \"" +
      std::to_string(cuda.description.major) + "." + std::to_string(cuda.description.minor) +
      "\",\n  \"driver\": " + quoted(device::version_text(cuda.driver_version)) +
      ",\n  \"build\": " + quoted(cuda.build) + ",\n  \"seed\": " + std::to_string(options_.seed) +
      ",\n  \"met\": " + std::to_string(met_) + ",\n  \"not_met\": " + std::to_string(failures_) +
      ",\n  \"skipped\": " + std::to_string(skipped_) + ",\n  \"results\": [";
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    const Line& line = lines_[i];
    text += std::string(i > 0 ? "," : "") + "\n    {\"kernel\": " + quoted(line.kernel) +
            ", \"rule\": " + quoted(line.rule) + ", \"state\": " + quoted(line.state) +
            ", \"values\": " + std::to_string(line.compared) +
            ", \"excepted\": " + std::to_string(line.excepted) + ", \"worst_error\": " + number(line.worst) +
            ", \"reason\": " + quoted(line.reason) + "}";
  }
  text += "\n  ],\n  \"times\": [";
  for (std::size_t i = 0; i < times_.size(); ++i) {
    const TimeLine& line = times_[i];
    text += std::string(i > 0 ? "," : "") + "\n    {\"kernel\": " + quoted(line.kernel) +
            ", \"shape\": " + quoted(line.shape) + ", \"bytes\": " + number(line.bytes) +
            ", \"milliseconds\": " + number(line.timing.milliseconds) +
            ", \"gigabytes_per_second\": " + number(line.timing.gigabytes_per_second) +
            ", \"copy_gigabytes_per_second\": " + number(line.copy_gigabytes_per_second) +
            ", \"share\": " + number(line.timing.share) + "}";
  }
  return text + "\n  ]\n}\n";
}

}  // namespace adjudge::check
