// A linear layer y = x·Wᵀ with its packed copies, its gradient, and an optional LoRA adapter.
#pragma once
#include <cstdint>
#include <string>

#include "packed_matrix.h"

namespace adjudge {

// W [out, in] row-major, and its two packed forms: for x·Wᵀ and for dy·W.
struct Matrix {
  int64_t out = 0, in = 0;
  float* value = nullptr;
  float* gradient = nullptr;  // null: frozen
  Dtype dtype = Dtype::float32;
  PackedMatrix packed_forward, packed_backward;

  void pack();
  // y[m, out] = or += x[m, in] · Wᵀ. 2·m·out·in flops.
  void forward(int64_t m, const float* x, float* y, Store store) const;
  // dx[m, in] = or += dy[m, out] · W.
  void backward_input(int64_t m, const float* dy, float* dx, Store store) const;
  // dW += dyᵀ · x, reduced over rows in ascending order. x: packed by its rows (pack_depths).
  void accumulate(const float* dy, const PackedMatrix& x) const;
};

struct Linear {
  std::string name;  // module path, e.g. model.layers.0.self_attn.q_proj
  Matrix base;
  Matrix a, b;  // LoRA: a [rank, in], b [out, rank]; rank 0 = none
  float scale = 0;

  int64_t rank() const { return a.out; }
  void forward(int64_t m, const float* x, float* y, bool adapter) const;
  void backward_input(int64_t m, const float* dy, float* dx, Store store) const;
  // The matrix that reads x and has a gradient; null: all is frozen. With an adapter the base is frozen.
  const Matrix* trained() const { return base.gradient ? &base : a.gradient ? &a : nullptr; }
  // Gradients of whatever is trainable here. x [m, in], and the same packed by its rows; `middle` is scratch.
  void accumulate(int64_t m, const float* dy, const float* x, const PackedMatrix& packed_x,
                  PackedMatrix& middle) const;
};

}  // namespace adjudge
