#include "native/core/rng.h"

#include <cmath>
#include <numbers>

namespace adjudge {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t second = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(second),
               static_cast<uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(first)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

static std::array<uint32_t, 4> draw(uint64_t seed, uint64_t stream, uint64_t index) {
  return philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                 static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

float uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  return static_cast<float>(draw(seed, stream, index)[0] >> 8) * 0x1p-24f;
}

float normal(uint64_t seed, uint64_t stream, uint64_t index) {
  const auto bits = draw(seed, stream, index);
  const double radius = std::sqrt(-2.0 * std::log((bits[0] + 1.0) * 0x1p-32));  // never the logarithm of 0
  return static_cast<float>(radius * std::cos(2.0 * std::numbers::pi * bits[1] * 0x1p-32));
}

}  // namespace adjudge
