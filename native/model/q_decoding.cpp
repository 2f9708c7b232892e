#include "q_decoding.h"

#include <algorithm>

#include "../core/error.h"
#include "../core/thread_pool.h"
#include "state.h"

namespace adjudge {

void add_advantages(Model::Impl& state, const QDecoding& decoding, int64_t rows, const float* hidden,
                    std::vector<float>& logits) {
  const int64_t vocabulary = state.network.config.vocabulary;
  const OutputHead& value_head = state.head_named(decoding.value_head);
  if (value_head.matrix.out != 1)
    throw Error{"ARGUMENT_INVALID", "the head " + value_head.name + " is no value of a state: it has " +
                                        std::to_string(value_head.matrix.out) + " outputs"};
  const std::vector<float>& normed = state.network.normalize(rows, hidden);
  std::vector<float> values(rows), smallest, twin;
  const std::vector<int32_t> none(rows);  // a single output belongs to no token
  value_head.values(rows, normed.data(), none.data(), values.data());
  for (const std::string& name : decoding.q_heads) {
    const OutputHead& head = state.head_named(name);
    if (head.matrix.out != vocabulary)
      throw Error{"ARGUMENT_INVALID", "the head " + name + " has not one output per token of the vocabulary"};
    std::vector<float>& q = smallest.empty() ? smallest : twin;
    q.resize(rows * vocabulary);
    head.all(rows, normed.data(), q.data());
    if (&q == &smallest) continue;
    parallel_for(rows, [&](int64_t i, int) {
      for (int64_t j = i * vocabulary; j < (i + 1) * vocabulary; ++j)
        smallest[j] = std::min(smallest[j], twin[j]);
    });
  }
  parallel_for(rows, [&](int64_t i, int) {
    for (int64_t j = i * vocabulary; j < (i + 1) * vocabulary; ++j)
      logits[j] += decoding.beta * (smallest[j] - values[i]);
  });
}

}  // namespace adjudge
