// Measures of whole rows over a vocabulary.
#pragma once
#include "native/rl/kl_rows.h"
#include "native/rl/logits.h"
#include "rl_case.h"

namespace adjudge::bench {

constexpr int64_t vocabulary = 49152;

inline Case kl_rows_case(double size, bool with_gradients) {
  struct Memory {
    int64_t rows;
    bool with_gradients;
    Array<float> logits{rows * vocabulary, [](int64_t i) { return centred(i, 23, 8); }};
    Array<float> reference{rows * vocabulary, [](int64_t i) { return centred(i, 24, 8); }};
    Array<float> values{rows};
    Array<float> gradients{with_gradients ? rows * vocabulary : 1};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 2048), with_gradients});
  Memory& m = *memory;
  Band band{{m.logits.data(), m.reference.data()}, {}, m.logits.size()};
  if (with_gradients) band.writes.push_back(m.gradients.data());
  Case result;
  result.bands = {band};
  result.kernel = [memory] {
    rl::KlRowsBatch<float> batch;
    batch.logits = memory->logits.data();
    batch.reference_logits = memory->reference.data();
    batch.rows = static_cast<size_t>(memory->rows);
    batch.width = vocabulary;
    rl::kl_rows<float>(rl::KlDirection::reverse, batch, memory->values.data(),
                       memory->with_gradients ? memory->gradients.data() : nullptr);
  };
  return result;
}

// Log-prob of one token and entropy of each row.
inline Case log_probs_case(double size) {
  struct Memory {
    int64_t rows;
    Array<float> logits{rows * vocabulary, [](int64_t i) { return centred(i, 25, 8); }};
    Array<int32_t> tokens{rows, [](int64_t i) { return uniform(i, 26) * static_cast<float>(vocabulary); }};
    Array<float> log_probs{rows}, entropies{rows};
  };
  auto memory = std::shared_ptr<Memory>(new Memory{scaled(size, 4096)});
  Memory& m = *memory;
  Case result;
  result.bands = {{{m.logits.data()}, {}, m.logits.size()}};
  result.kernel = [memory] {
    rl::LogitsBatch<float> batch;
    batch.logits = memory->logits.data();
    batch.tokens = memory->tokens.data();
    batch.rows = static_cast<size_t>(memory->rows);
    batch.width = vocabulary;
    rl::LogitsStatistics<float> statistics;
    statistics.log_probs = memory->log_probs.data();
    statistics.entropies = memory->entropies.data();
    rl::logits_statistics<float>(batch, statistics);
  };
  return result;
}

inline std::vector<NamedCase> row_cases() {
  return {{"log-prob and entropy, [4096, 49152]", log_probs_case},
          {"kl of rows, [2048, 49152]", [](double size) { return kl_rows_case(size, false); }},
          {"kl of rows with gradients, [2048, 49152]", [](double size) { return kl_rows_case(size, true); }}};
}

}  // namespace adjudge::bench
