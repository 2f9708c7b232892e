// The one thread pool of the process. Results never depend on the number of threads: work items are
// independent.
#pragma once
#include <cstdint>
#include <functional>

namespace adjudge {

// Threads used by parallel_for, the caller included. Default: the number of processors.
void set_threads(int threads);
int threads();

// Runs body(item, worker) for item in [0, items), in any order; worker in [0, threads()). One region runs at
// a time; a caller on another thread waits for its turn (first come, first served).
void parallel_for(int64_t items, const std::function<void(int64_t item, int worker)>& body);

}  // namespace adjudge
