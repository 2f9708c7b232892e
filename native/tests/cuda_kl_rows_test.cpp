// Divergences of whole distributions over the SIMT shim against the f64 path on the same rounded inputs.
#include "rl/kl_rows.h"

#include <limits>

#include "tests/cuda_launch.h"

namespace adjudge::cuda::testing {
namespace {

struct Logits {
  std::size_t rows, width;
  std::vector<float> policy, reference;
  std::vector<std::uint8_t> mask;

  Logits(std::size_t row_count, std::size_t row_width) : rows(row_count), width(row_width) {
    Ragged random({});
    policy = random.normal(rows * width, 4);
    reference = random.normal(rows * width, 4, 50);
  }
  template <typename Float>
  rl::KlRowsBatch<Float> batch(const std::vector<Float>& p, const std::vector<Float>& q) const {
    return {p.data(), q.data(), mask.empty() ? nullptr : mask.data(), rows, width};
  }
};

void compare(const Logits& data) {
  const std::vector<double> policy = widened(data.policy), reference = widened(data.reference);
  for (const auto direction : {rl::KlDirection::reverse, rl::KlDirection::forward}) {
    std::vector<double> expected(data.rows), expected_gradients(data.rows * data.width);
    rl::kl_rows<double>(direction, data.batch(policy, reference), expected.data(), expected_gradients.data());
    for (const bool wanted : {true, false}) {
      in_every_order([&](int threads) {
        std::vector<float> values(data.rows, -7.0f), gradients(wanted ? data.rows * data.width : 0, -7.0f);
        enqueue(threads, [&](Launch& launch) {
          return adjudge_cuda_kernels()->kl_rows(direction, data.batch(data.policy, data.reference),
                                                 values.data(), wanted ? gradients.data() : nullptr, launch);
        });
        expect_close(values, expected);
        if (wanted) expect_close(gradients, expected_gradients);
        Bits bits;
        bits.add(values);
        bits.add(gradients);
        return bits;
      });
    }
  }
}

TEST(CudaKlRows, BothDirectionsAreTheReference) {
  for (const std::size_t width : {1, 3, 64, 257, 1003}) {
    SCOPED_TRACE("width " + std::to_string(width));
    compare({4, width});
  }
}

TEST(CudaKlRows, MaskedRowsMayBeNaN) {
  Logits data(3, 70);
  data.mask = {1, 0, 1};
  for (std::size_t k = 70; k < 140; ++k) data.policy[k] = data.reference[k] = std::nanf("");
  compare(data);
}

TEST(CudaKlRows, ATokenImpossibleInBothAddsNothing) {
  Logits data(2, 40);
  for (const std::size_t k : {std::size_t{5}, std::size_t{77}}) {
    data.policy[k] = data.reference[k] = -std::numeric_limits<float>::infinity();
  }
  compare(data);
}

}  // namespace
}  // namespace adjudge::cuda::testing
