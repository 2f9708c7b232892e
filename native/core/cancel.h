// Ends work that nobody waits for any more: the job's thread names its flag, and the passes ask for it
// between layers.
#pragma once
#include <atomic>

#include "error.h"

namespace adjudge {

class CancelScope {
 public:
  // Within its life, check_cancelled() on this thread looks at `flag`.
  explicit CancelScope(const std::atomic<bool>& flag) : before_(current_) { current_ = &flag; }
  ~CancelScope() { current_ = before_; }
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

  static bool cancelled() { return current_ && *current_; }

 private:
  static inline thread_local const std::atomic<bool>* current_ = nullptr;
  const std::atomic<bool>* before_;
};

// Throws CANCELLED where the work of this thread was cancelled.
inline void check_cancelled() {
  if (CancelScope::cancelled()) throw Error{"CANCELLED", "the work was cancelled by its signal"};
}

}  // namespace adjudge
