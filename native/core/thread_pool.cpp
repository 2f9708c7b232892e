#include "native/core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace adjudge {
namespace {

constexpr int spins = 2000;  // some tens of microseconds: the gap between two kernels of one layer

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::this_thread::yield();
#endif
}

// Set while this thread runs an item: a nested region then runs serially under the same worker number.
thread_local int current_worker = -1;

class Pool {
 public:
  Pool() : threads_(std::max(1, static_cast<int>(std::thread::hardware_concurrency()))) {}

  int threads() const { return threads_.load(std::memory_order_relaxed); }

  void set_threads(int threads) {
    Turn turn(*this);
    threads_.store(std::max(1, threads), std::memory_order_relaxed);
  }

  void run(int64_t items, const std::function<void(int64_t, int)>& body) {
    Turn turn(*this);
    const int helpers = static_cast<int>(std::min<int64_t>(threads() - 1, items - 1));
    if (helpers > 0) open(items, body, helpers);
    current_worker = 0;
    if (helpers > 0) {
      work(items, body, 0);
    } else {
      for (int64_t item = 0; item < items; ++item) body(item, 0);
    }
    current_worker = -1;
    if (helpers > 0) close();
  }

 private:
  // Callers are served in the order of their tickets.
  struct Turn {
    Pool& pool;
    explicit Turn(Pool& owner) : pool(owner) {
      std::unique_lock lock(pool.turn_mutex_);
      const uint64_t ticket = pool.next_ticket_++;
      pool.turn_.wait(lock, [&] { return pool.serving_ == ticket; });
    }
    ~Turn() {
      const std::lock_guard lock(pool.turn_mutex_);
      ++pool.serving_;
      if (pool.serving_ != pool.next_ticket_) pool.turn_.notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
  };

  void open(int64_t items, const std::function<void(int64_t, int)>& body, int helpers) {
    while (spawned_ < helpers) {
      const int worker = ++spawned_;
      std::thread([this, worker] { serve(worker); }).detach();
    }
    const std::lock_guard lock(mutex_);
    body_ = &body;
    items_ = items;
    helpers_ = helpers;
    next_item_.store(0, std::memory_order_relaxed);
    open_ = true;
    region_.fetch_add(1, std::memory_order_release);
    if (sleeping_ > 0) wake_.notify_all();
  }

  // A worker that has not joined by now finds the region closed; only those inside are waited for, so a
  // caller never waits for a thread that the system has not scheduled yet.
  void close() {
    std::unique_lock lock(mutex_);
    open_ = false;
    if (inside_.load(std::memory_order_relaxed) == 0) return;
    lock.unlock();
    for (int spin = 0; spin < spins && inside_.load(std::memory_order_acquire) != 0; ++spin) pause();
    lock.lock();
    done_.wait(lock, [&] { return inside_.load(std::memory_order_relaxed) == 0; });
  }

  void work(int64_t items, const std::function<void(int64_t, int)>& body, int worker) {
    for (;;) {
      const int64_t item = next_item_.fetch_add(1, std::memory_order_relaxed);
      if (item >= items) return;
      body(item, worker);
    }
  }

  void serve(int worker) {
    current_worker = worker;
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < spins && region_.load(std::memory_order_acquire) == seen; ++spin) pause();
      std::unique_lock lock(mutex_);
      ++sleeping_;
      wake_.wait(lock, [&] { return region_.load(std::memory_order_relaxed) != seen; });
      --sleeping_;
      seen = region_.load(std::memory_order_relaxed);
      if (!open_ || worker > helpers_) continue;
      inside_.fetch_add(1, std::memory_order_relaxed);
      const int64_t items = items_;
      const auto& body = *body_;
      lock.unlock();
      work(items, body, worker);
      lock.lock();
      if (inside_.fetch_sub(1, std::memory_order_release) == 1) done_.notify_all();
    }
  }

  std::atomic<int> threads_;
  std::mutex turn_mutex_;
  std::condition_variable turn_;
  uint64_t next_ticket_ = 0;
  uint64_t serving_ = 0;
  int spawned_ = 0;  // touched only by the caller whose turn it is

  std::mutex mutex_;  // guards the region below
  std::condition_variable wake_;
  std::condition_variable done_;
  const std::function<void(int64_t, int)>* body_ = nullptr;
  int64_t items_ = 0;
  int helpers_ = 0;
  int sleeping_ = 0;
  bool open_ = false;
  std::atomic<uint64_t> region_{0};
  std::atomic<int> inside_{0};
  std::atomic<int64_t> next_item_{0};
};

// Never destroyed: workers may still be asleep on it while the process ends.
Pool& pool() {
  static Pool* const instance = new Pool;
  return *instance;
}

}  // namespace

void set_threads(int threads) { pool().set_threads(threads); }

int threads() { return pool().threads(); }

void parallel_for(int64_t items, const std::function<void(int64_t, int)>& body) {
  if (items <= 0) return;
  if (current_worker >= 0) {
    for (int64_t item = 0; item < items; ++item) body(item, current_worker);
    return;
  }
  pool().run(items, body);
}

}  // namespace adjudge
