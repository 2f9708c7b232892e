#include "device/arena.h"

#include <algorithm>

namespace adjudge::device {
namespace {
constexpr std::size_t alignment = 256;
constexpr std::size_t smallest_block = std::size_t{16} << 20;
}  // namespace

int Arena::take(const cuda::Runtime& runtime, std::size_t bytes, void** memory) {
  bytes = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  for (Block& block : blocks_) {
    if (block.bytes - block.used < bytes) continue;
    *memory = block.memory + block.used;
    block.used += bytes;
    return 0;
  }
  Block block{nullptr, std::max(bytes, smallest_block), bytes};
  if (const int status = runtime.allocate(memory, block.bytes)) return status;
  block.memory = static_cast<char*>(*memory);
  blocks_.push_back(block);
  return 0;
}

void Arena::reset(const cuda::Runtime& runtime) {
  std::size_t held = 0;
  for (Block& block : blocks_) {
    held += block.bytes;
    block.used = 0;
  }
  if (held <= kept_bytes) return;
  for (const Block& block : blocks_) runtime.release(block.memory);
  blocks_.clear();
}

}  // namespace adjudge::device
