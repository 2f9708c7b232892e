// The memory of JavaScript that running jobs read and write, of every environment: worker threads share
// buffers.
#pragma once

#include <cstddef>
#include <vector>

namespace adjudge {

struct MemoryRange {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
  bool written = false;
  const char* name = "";  // of the argument, for errors; lives as long as the program
};

inline bool overlap(const MemoryRange& one, const MemoryRange& other) {
  return one.begin < other.end && other.begin < one.end;
}

// Throws BUFFER_BUSY where a job writes to one of the ranges, or reads one that is to be written.
void check_free(const std::vector<MemoryRange>& ranges);

// Whether any job holds a lease: without one there is nothing to check.
bool any_lease();

// Held by a job for as long as it touches the memory.
class Lease {
 public:
  // Throws BUFFER_BUSY as check_free() does.
  explicit Lease(std::vector<MemoryRange> ranges);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

 private:
  friend void check_free(const std::vector<MemoryRange>& ranges);
  std::vector<MemoryRange> ranges_;
};

}  // namespace adjudge
