#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

// Share of repeated n-grams among a completion's tokens: 1 - different / all (Yeo et al. 2025, appendix C.2).
namespace adjudge::rl {

// tokens: packed by cu_seqlens [rows + 1]; `size`: of an n-gram, at least 1. A completion shorter than that
// has 0.
std::vector<double> repeated_share(const std::int32_t* tokens, const std::int32_t* cu_seqlens,
                                   std::size_t rows, std::size_t size);

}  // namespace adjudge::rl
