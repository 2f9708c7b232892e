// Executes kernels on the processor: lanes as fibers, one block after another, all on the calling thread.
#include "cuda/simt.h"

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "cuda/simt_fiber.h"

namespace adjudge::simt {
namespace {

using host::Meeting;

enum class State { ready, at_warp, at_block, done };

struct Lane {
  Fiber* fiber = nullptr;
  State state = State::ready;
  Meeting meeting = Meeting::barrier;
  unsigned mask = 0;
  std::uint64_t value = 0;
  std::uint64_t result = 0;
  int parameter = 0;
};

class Machine {
 public:
  Order order = Order::forward;
  std::string error;
  host::Position position;

  int run(const char* name, const Grid& grid, void (*lane)(const void*), const void* context) {
    error.clear();
    name_ = name;
    body_ = lane;
    context_ = context;
    if (grid.threads < warp_size || grid.threads > 1024 || grid.threads % warp_size != 0) {
      return fail("a block of " + std::to_string(grid.threads) + " threads");
    }
    if (grid.blocks > most_blocks) {
      fail(std::to_string(grid.blocks) + " blocks");
      return too_many_blocks;
    }
    if (grid.shared_bytes > most_shared_bytes) {
      fail(std::to_string(grid.shared_bytes) + " bytes of shared memory");
      return too_much_shared_memory;
    }
    position.threads = grid.threads;
    position.blocks = grid.blocks;
    lanes_.resize(static_cast<std::size_t>(grid.threads));
    // Bytes that are a NaN in every floating-point type: what was never written shows.
    shared_.assign(grid.shared_bytes + 16, 0xff);
    for (std::int64_t turn = 0; turn < grid.blocks; ++turn) {
      position.block = order == Order::forward ? turn : grid.blocks - 1 - turn;
      if (!run_block()) return kernel_faulty;
    }
    return 0;
  }

  void wait_for_block() {
    current().state = State::at_block;
    fibers_.leave(*current().fiber);
  }

  std::uint64_t meet(Meeting meeting, unsigned mask, std::uint64_t value, int parameter) {
    Lane& lane = current();
    lane.meeting = meeting;
    lane.mask = mask;
    lane.value = value;
    lane.parameter = parameter;
    lane.state = State::at_warp;
    fibers_.leave(*lane.fiber);
    return lane.result;
  }

  void* shared() {
    auto* bytes = shared_.data();
    return bytes + (16 - reinterpret_cast<std::uintptr_t>(bytes) % 16) % 16;
  }

 private:
  Lane& current() { return lanes_[static_cast<std::size_t>(position.thread)]; }

  int fail(const std::string& what) {
    error = std::string("kernel ") + name_ + ", block " + std::to_string(position.block) + ": " + what;
    for (Lane& lane : lanes_) {
      if (lane.fiber) fibers_.put_back(std::exchange(lane.fiber, nullptr));
    }
    return kernel_faulty;
  }

  // The k-th of n in this order. Shuffled: another permutation every time.
  template <typename Visit>
  bool for_each(int n, Visit&& visit) {
    std::array<int, 32> places;
    for (int k = 0; k < n; ++k)
      places[static_cast<std::size_t>(k)] = order == Order::reversed ? n - 1 - k : k;
    for (int k = n - 1; order == Order::shuffled && k > 0; --k) {
      random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
      std::swap(places[static_cast<std::size_t>(k)],
                places[(random_ >> 33) % static_cast<std::uint64_t>(k + 1)]);
    }
    for (int k = 0; k < n; ++k) {
      if (!visit(places[static_cast<std::size_t>(k)])) return false;
    }
    return true;
  }

  bool run_block() {
    for (Lane& lane : lanes_) lane = Lane{};
    const int warps = position.threads / warp_size;
    for (;;) {
      if (!for_each(warps, [&](int warp) { return run_warp(warp); })) return false;
      int waiting = 0;
      for (Lane& lane : lanes_) {
        if (lane.state != State::at_block) continue;
        lane.state = State::ready;
        ++waiting;
      }
      if (waiting == 0) return true;
    }
  }

  // Until every lane of the warp has ended or stands at the block's barrier.
  bool run_warp(int warp) {
    for (;;) {
      bool ran = false;
      for_each(warp_size, [&](int place) {
        const int thread = warp * warp_size + place;
        if (lanes_[static_cast<std::size_t>(thread)].state != State::ready) return true;
        ran = true;
        resume(thread);
        return true;
      });
      if (!ran) return true;
      if (!settle(&lanes_[static_cast<std::size_t>(warp * warp_size)], warp)) return false;
    }
  }

  void resume(int thread) {
    position.thread = thread;
    Lane& lane = current();
    if (!lane.fiber) {
      lane.fiber = fibers_.take();
      fibers_.start(*lane.fiber, &Machine::enter, this);
    } else {
      fibers_.enter(*lane.fiber);
    }
    if (lane.state == State::done) fibers_.put_back(std::exchange(lane.fiber, nullptr));
  }

  static void enter(void* machine) {
    auto& self = *static_cast<Machine*>(machine);
    Lane& lane = self.current();
    self.body_(self.context_);
    lane.state = State::done;
  }

  // Answers the lanes that wait for each other. Some may have to wait until others have met elsewhere.
  bool settle(Lane* lanes, int warp) {
    bool met = false;
    int waiting = -1, absent = -1;
    for (int i = 0; i < warp_size; ++i) {
      if (lanes[i].state != State::at_warp) continue;
      const int missing = missing_lane(lanes, i);
      if (missing >= 0) {
        if (waiting < 0) waiting = i;
        if (absent < 0) absent = missing;
        continue;
      }
      met = true;
      const unsigned mask = lanes[i].mask;
      std::uint64_t ballot = 0;
      for (int k = 0; k < warp_size; ++k) {
        if (mask >> k & 1u) ballot |= (lanes[k].value & 1u) << k;
      }
      for (int k = 0; k < warp_size; ++k) {
        if (mask >> k & 1u) lanes[k].result = answer(lanes, k, mask, ballot);
      }
      for (int k = 0; k < warp_size; ++k) {
        if (mask >> k & 1u) lanes[k].state = State::ready;
      }
    }
    if (met || waiting < 0) return true;
    fail("lane " + std::to_string(waiting) + " of warp " + std::to_string(warp) + " waits for lane " +
         std::to_string(absent) + ", which went another way");
    return false;
  }

  // A lane that has to come before lane i gets its answer; -1: all are there.
  static int missing_lane(const Lane* lanes, int i) {
    const unsigned mask = lanes[i].mask;
    if (!(mask >> i & 1u)) return i;
    for (int k = 0; k < warp_size; ++k) {
      const bool here =
          lanes[k].state == State::at_warp && lanes[k].mask == mask && lanes[k].meeting == lanes[i].meeting;
      if ((mask >> k & 1u) && !here) return k;
    }
    return -1;
  }

  // As CUDA: a source outside the warp gives the lane's own value. One outside the mask is undefined there;
  // here it is a number that no test expects.
  static std::uint64_t answer(const Lane* lanes, int k, unsigned mask, std::uint64_t ballot) {
    const Lane& lane = lanes[k];
    int source = k;
    switch (lane.meeting) {
      case Meeting::barrier:
        return 0;
      case Meeting::ballot:
        return ballot;
      case Meeting::shuffle:
        source = lane.parameter & 31;
        break;
      case Meeting::shuffle_down:
        source = k + lane.parameter;
        break;
      case Meeting::shuffle_up:
        source = k - lane.parameter;
        break;
      case Meeting::shuffle_xor:
        source = k ^ lane.parameter;
        break;
    }
    if (source < 0 || source >= warp_size) return lane.value;
    return mask >> source & 1u ? lanes[source].value : ~std::uint64_t{0};
  }

  const char* name_ = "";
  void (*body_)(const void*) = nullptr;
  const void* context_ = nullptr;
  std::vector<Lane> lanes_;
  std::vector<unsigned char> shared_;
  Fibers fibers_;
  std::uint64_t random_ = 1;
};

Machine& machine() {
  static thread_local Machine one;
  return one;
}

}  // namespace

void set_order(Order order) { machine().order = order; }
const char* last_error() { return machine().error.c_str(); }

namespace host {

const Position& position() { return machine().position; }
void wait_for_block() { machine().wait_for_block(); }
std::uint64_t meet(Meeting meeting, unsigned mask, std::uint64_t value, int parameter) {
  return machine().meet(meeting, mask, value, parameter);
}
void* dynamic_shared() { return machine().shared(); }
int run(const char* name, const Grid& grid, void (*lane)(const void*), const void* context) {
  return machine().run(name, grid, lane, context);
}

}  // namespace host
}  // namespace adjudge::simt
