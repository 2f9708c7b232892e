#include "lease.h"

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "../core/error.h"

namespace adjudge {

namespace {

std::mutex leases_mutex;
std::set<const Lease*> leases;
std::atomic<std::size_t> lease_count{0};

[[noreturn]] void refuse(const MemoryRange& range, bool writes) {
  throw Error("BUFFER_BUSY", std::string(range.name) + ": a job that still runs " +
                                 (writes ? "writes to" : "reads") +
                                 " this buffer; await its promise first, or give another buffer");
}

void check_against(const std::vector<MemoryRange>& ranges, const std::vector<MemoryRange>& held) {
  for (const MemoryRange& range : ranges) {
    for (const MemoryRange& other : held) {
      if ((range.written || other.written) && overlap(range, other)) refuse(range, other.written);
    }
  }
}

}  // namespace

bool any_lease() { return lease_count.load(std::memory_order_acquire) > 0; }

void check_free(const std::vector<MemoryRange>& ranges) {
  std::lock_guard lock(leases_mutex);
  for (const Lease* lease : leases) check_against(ranges, lease->ranges_);
}

Lease::Lease(std::vector<MemoryRange> ranges) : ranges_(std::move(ranges)) {
  std::lock_guard lock(leases_mutex);
  for (const Lease* lease : leases) check_against(ranges_, lease->ranges_);
  leases.insert(this);
  ++lease_count;
}

Lease::~Lease() {
  std::lock_guard lock(leases_mutex);
  leases.erase(this);
  --lease_count;
}

}  // namespace adjudge
