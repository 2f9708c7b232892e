#include "jobs.h"

#include <new>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "../core/error.h"

namespace adjudge {

namespace {
// Jobs that run, of every environment (worker threads have their own).
std::mutex running_mutex;
std::set<Job*> running;
}  // namespace

void Turnstile::enter(uint64_t ticket) {
  std::unique_lock lock(mutex_);
  turned_.wait(lock, [&] { return serving_ == ticket; });
}

void Turnstile::leave() {
  {
    std::lock_guard lock(mutex_);
    ++serving_;
  }
  turned_.notify_all();
}

Napi::Error make_error(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

Napi::Value guarded(Napi::Env env, const std::function<Napi::Value()>& body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const Error& error) {
    throw make_error(env, error.code, error.what());
  } catch (const std::bad_alloc&) {
    throw make_error(env, "MEMORY_EXCEEDED", "The system gave no more memory");
  } catch (const std::exception& error) {
    throw make_error(env, "INTERNAL", error.what());
  }
}

std::shared_ptr<Job> Job::start(Napi::Env env, Work work, std::shared_ptr<Turnstile> turnstile,
                                Napi::Function callback) {
  std::shared_ptr<Job> job(new Job(env));
  if (!callback.IsEmpty()) job->callback_ = Napi::Persistent(callback);
  Napi::String name = Napi::String::New(env, "adjudge job");
  // The queue is unbounded, so the job's thread never waits for JavaScript.
  if (napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, nullptr,
                                      &Job::deliver, &job->channel_) != napi_ok) {
    throw Error("INTERNAL", "The environment is closing: no job can be started");
  }
  job->self_ = job;
  {
    std::lock_guard lock(running_mutex);
    running.insert(job.get());
  }
  // Hooks run in reverse order of registration: this one, which joins the thread, before the channel's own.
  napi_add_env_cleanup_hook(env, &Job::environment_closes, job.get());
  uint64_t ticket = turnstile ? turnstile->ticket() : 0;
  try {
    job->thread_ = std::thread([raw = job.get(), work = std::move(work), turnstile, ticket] {
      raw->run(work, turnstile.get(), ticket);
    });
  } catch (const std::system_error& error) {
    // The ticket was taken: let the next one pass when its turn comes, then give up.
    if (turnstile) {
      turnstile->enter(ticket);
      turnstile->leave();
    }
    napi_remove_env_cleanup_hook(env, &Job::environment_closes, job.get());
    napi_release_threadsafe_function(job->channel_, napi_tsfn_abort);
    job->forget();
    throw Error("INTERNAL", std::string("No thread can be started: ") + error.what());
  }
  return job;
}

Napi::Value Job::cancellable(Napi::Env env, const std::shared_ptr<Job>& job) {
  Napi::Promise promise = job->promise();
  promise.As<Napi::Object>().Set("cancel", Napi::Function::New(
                                               env,
                                               [weak = std::weak_ptr<Job>(job)](const Napi::CallbackInfo&) {
                                                 if (auto alive = weak.lock()) alive->cancel();
                                               },
                                               "cancel"));
  return promise;
}

void Job::run(const Work& work, Turnstile* turnstile, uint64_t ticket) {
  Result result;
  std::string code, message;
  if (turnstile) turnstile->enter(ticket);
  try {
    if (!abandoned_) result = work(*this);
  } catch (const Error& error) {
    code = error.code, message = error.what();
  } catch (const std::bad_alloc&) {
    code = "MEMORY_EXCEEDED", message = "The system gave no more memory";
  } catch (const std::exception& error) {
    code = "INTERNAL", message = error.what();
  }
  if (turnstile) turnstile->leave();
  send([this, result = std::move(result), code, message](Napi::Env env) {
    // finish() lets go of the job, perhaps for the last time.
    std::shared_ptr<Job> keep = self_;
    settle(env, result, code, message);
    finish();
  });
}

void Job::settle(Napi::Env env, const Result& result, const std::string& code, const std::string& message) {
  try {
    try {
      if (code.empty()) {
        deferred_.Resolve(result ? result(env) : env.Undefined());
      } else {
        deferred_.Reject(make_error(env, code, message).Value());
      }
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    } catch (const std::exception& error) {
      deferred_.Reject(make_error(env, "INTERNAL", error.what()).Value());
    }
  } catch (const Napi::Error&) {
    // The environment is being terminated: nobody waits for the promise any more.
  }
}

void Job::send(std::function<void(Napi::Env)> message) {
  auto* data = new std::function<void(Napi::Env)>(std::move(message));
  if (napi_call_threadsafe_function(channel_, data, napi_tsfn_blocking) != napi_ok) delete data;
}

void Job::post(Message message) {
  send([this, message = std::move(message)](Napi::Env env) {
    if (!callback_.IsEmpty()) message(env, callback_.Value());
  });
}

void Job::finish() {
  thread_.join();
  napi_remove_env_cleanup_hook(env_, &Job::environment_closes, this);
  callback_.Reset();
  napi_release_threadsafe_function(channel_, napi_tsfn_release);
  forget();
}

void Job::forget() {
  {
    std::lock_guard lock(running_mutex);
    running.erase(this);
  }
  self_.reset();
}

void Job::deliver(napi_env env, napi_value, void*, void* data) {
  std::unique_ptr<std::function<void(Napi::Env)>> message(static_cast<std::function<void(Napi::Env)>*>(data));
  if (env == nullptr) return;  // The environment is gone: nobody listens.
  Napi::HandleScope scope(env);
  try {
    (*message)(env);
  } catch (const Napi::Error& error) {
    try {
      error.ThrowAsJavaScriptException();
    } catch (const Napi::Error&) {
      // The environment is being terminated and takes no exception.
    }
  }
}

void Job::environment_closes(void* data) {
  Job* job = static_cast<Job*>(data);
  {
    // All at once: this job may wait at a turnstile for another job of the same environment.
    std::lock_guard lock(running_mutex);
    for (Job* other : running) {
      if (other->env_ != job->env_) continue;
      other->abandoned_ = true;
      other->cancelled_ = true;
    }
  }
  if (job->thread_.joinable()) job->thread_.join();
  job->callback_.Reset();
  job->forget();
}

}  // namespace adjudge
