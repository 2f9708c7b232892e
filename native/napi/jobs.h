// Long work: a promise whose work runs on its own thread and reports back through a thread-safe function.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "setup.h"

namespace adjudge {

// Lets jobs through one at a time, in the order in which they took their tickets (on the JavaScript thread).
class Turnstile {
 public:
  uint64_t ticket() { return next_.fetch_add(1); }
  void enter(uint64_t ticket);
  void leave();

 private:
  std::atomic<uint64_t> next_{0};
  std::mutex mutex_;
  std::condition_variable turned_;
  uint64_t serving_ = 0;
};

class Job {
 public:
  // Runs on the JavaScript thread: makes the value that the promise resolves to.
  using Result = std::function<Napi::Value(Napi::Env)>;
  // Runs on the job's own thread. Throws Error to reject the promise. Must touch no JavaScript value.
  using Work = std::function<Result(Job&)>;
  // Runs on the JavaScript thread with the job's callback function.
  using Message = std::function<void(Napi::Env, Napi::Function)>;

  // Starts the work. With `turnstile`, after every earlier job of that turnstile. `callback` may be empty.
  // When the environment closes first, the work is cancelled and waited for, and nothing is reported.
  static std::shared_ptr<Job> start(Napi::Env env, Work work, std::shared_ptr<Turnstile> turnstile = nullptr,
                                    Napi::Function callback = {});

  Napi::Promise promise() const { return deferred_.Promise(); }
  void cancel() { cancelled_ = true; }
  // The promise, with a function cancel() of its own.
  static Napi::Value cancellable(Napi::Env env, const std::shared_ptr<Job>& job);
  const std::atomic<bool>& cancelled() const { return cancelled_; }
  // From the job's thread: hands a message to the callback, in order and before the promise is settled.
  void post(Message message);

 private:
  explicit Job(Napi::Env env) : env_(env), deferred_(env) {}
  void run(const Work& work, Turnstile* turnstile, uint64_t ticket);
  void send(std::function<void(Napi::Env)> message);
  void settle(Napi::Env env, const Result& result, const std::string& code, const std::string& message);
  void finish();
  void forget();
  static void deliver(napi_env env, napi_value function, void* context, void* data);
  static void environment_closes(void* job);

  napi_env env_;
  Napi::Promise::Deferred deferred_;
  Napi::FunctionReference callback_;
  napi_threadsafe_function channel_ = nullptr;
  std::thread thread_;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> abandoned_{false};  // the environment closes: work that has not begun is left out
  std::shared_ptr<Job> self_;           // keeps the job alive until it has finished
};

// Makes a JavaScript error with a `code` property.
Napi::Error make_error(Napi::Env env, const std::string& code, const std::string& message);

// Calls body() and turns adjudge::Error and std::exception into JavaScript errors with their code.
Napi::Value guarded(Napi::Env env, const std::function<Napi::Value()>& body);

}  // namespace adjudge
