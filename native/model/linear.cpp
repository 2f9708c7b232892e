#include "linear.h"

#include <vector>

namespace adjudge {

void Matrix::pack() {
  packed_forward.pack(dtype, value, in, 1, out, in);
  packed_backward.pack(dtype, value, 1, in, in, out);
}

void Matrix::forward(int64_t m, const float* x, float* y, Store store) const {
  packed_forward.multiply(m, x, in, 1, y, store);
}

void Matrix::backward_input(int64_t m, const float* dy, float* dx, Store store) const {
  packed_backward.multiply(m, dy, out, 1, dx, store);
}

void Matrix::accumulate(const float* dy, const PackedMatrix& x) const {
  if (gradient) x.multiply(out, dy, 1, out, gradient, Store::add);
}

namespace {

// u = scale · x · matrixᵀ (or · matrix), the rank-wide middle of the adapter.
std::vector<float> scaled(std::vector<float> u, float scale) {
  for (float& value : u) value *= scale;
  return u;
}

}  // namespace

void Linear::forward(int64_t m, const float* x, float* y, bool adapter) const {
  base.forward(m, x, y, Store::assign);
  if (!adapter || !rank()) return;
  std::vector<float> u(m * rank());
  a.forward(m, x, u.data(), Store::assign);
  u = scaled(std::move(u), scale);
  b.forward(m, u.data(), y, Store::add);
}

void Linear::backward_input(int64_t m, const float* dy, float* dx, Store store) const {
  base.backward_input(m, dy, dx, store);
  if (!rank()) return;
  std::vector<float> du(m * rank());
  b.backward_input(m, dy, du.data(), Store::assign);
  du = scaled(std::move(du), scale);
  a.backward_input(m, du.data(), dx, Store::add);
}

void Linear::accumulate(int64_t m, const float* dy, const float* x, const PackedMatrix& packed_x,
                        PackedMatrix& middle) const {
  base.accumulate(dy, packed_x);
  if (!rank() || !a.gradient) return;
  std::vector<float> u(m * rank());
  a.forward(m, x, u.data(), Store::assign);
  u = scaled(std::move(u), scale);
  middle.pack_depths(b.dtype, u.data(), m, rank());
  b.accumulate(dy, middle);
  b.backward_input(m, dy, u.data(), Store::assign);
  u = scaled(std::move(u), scale);
  a.accumulate(u.data(), packed_x);
}

}  // namespace adjudge
