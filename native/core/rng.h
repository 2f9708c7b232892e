// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
// 2011). A number is a pure function of (seed, stream, index), so a sampled token depends on its sequence and
// position only, never on the batch, the threads or what was drawn before.
#pragma once
#include <array>
#include <cstdint>

namespace adjudge {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1), a multiple of 2^-24.
float uniform(uint64_t seed, uint64_t stream, uint64_t index);

// Standard normal (Box and Muller 1958).
float normal(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace adjudge
