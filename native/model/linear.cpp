#include "linear.h"

namespace adjudge {

void Matrix::pack() {
  packed_forward.resize(packed_floats(out, in));
  adjudge::pack(value, in, 1, out, in, packed_forward.data());
  packed_backward.resize(packed_floats(in, out));
  adjudge::pack(value, 1, in, in, out, packed_backward.data());
}

void Matrix::forward(int64_t m, const float* x, float* y, Store store) const {
  gemm(m, out, in, x, in, 1, packed_forward.data(), y, out, store);
}

void Matrix::backward_input(int64_t m, const float* dy, float* dx, Store store) const {
  gemm(m, in, out, dy, out, 1, packed_backward.data(), dx, in, store);
}

void Matrix::accumulate(int64_t m, const float* dy, const float* x, std::vector<float>& scratch) const {
  if (!gradient) return;
  scratch.resize(packed_floats(in, m));
  adjudge::pack(x, 1, in, in, m, scratch.data());
  gemm(out, in, m, dy, 1, out, scratch.data(), gradient, in, Store::add);
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

void Linear::accumulate(int64_t m, const float* dy, const float* x, std::vector<float>& scratch) const {
  base.accumulate(m, dy, x, scratch);
  if (!rank() || !a.gradient) return;
  std::vector<float> u(m * rank());
  a.forward(m, x, u.data(), Store::assign);
  u = scaled(std::move(u), scale);
  b.accumulate(m, dy, u.data(), scratch);
  b.backward_input(m, dy, u.data(), Store::assign);
  u = scaled(std::move(u), scale);
  a.accumulate(m, u.data(), x, scratch);
}

}  // namespace adjudge
