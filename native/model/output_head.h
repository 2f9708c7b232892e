// A linear head on the last hidden state (after the final norm), beside the language model's own: the value
// of a state (one output), or of each action (one output per token of the vocabulary).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "linear.h"

namespace adjudge {

struct OutputHead {
  std::string name;
  Matrix matrix;  // [outputs, hidden]; packed only where there are several outputs
  float* bias = nullptr;
  float* bias_gradient = nullptr;  // null: frozen
  bool stop_gradient = false;      // true: what is below the head learns nothing from it
  int64_t step_count = 0;

  // An action's output; the only one of a state's value.
  int64_t output_of(int32_t token) const { return matrix.out == 1 ? 0 : token; }
  void pack();
  // out[i] = hidden[i] · W[output_of(tokens[i])] + bias, summed in f64. hidden [rows, hidden].
  void values(int64_t rows, const float* hidden, const int32_t* tokens, float* out) const;
  // out [rows, outputs] = hidden · Wᵀ + bias.
  void all(int64_t rows, const float* hidden, float* out) const;
  // Gradient of sum_i gradients[i] · values(i): accumulates the head's, and adds to d_hidden (null: none).
  void values_backward(int64_t rows, const float* hidden, const int32_t* tokens, const float* gradients,
                       float* d_hidden) const;
  // Gradient of sum_i gradients[i] · log-sum-exp of row i's outputs. outputs: of all(), overwritten.
  void log_sum_exp_backward(int64_t rows, const float* hidden, float* outputs, const float* gradients,
                            float* d_hidden) const;
};

}  // namespace adjudge
