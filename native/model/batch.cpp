// Checks of a batch, and its cut into micro-batches.
#include "../core/error.h"
#include "state.h"

namespace adjudge {
namespace {

void check_offsets(std::span<const int32_t> offsets, size_t tokens, const char* name) {
  bool good = !offsets.empty() && offsets.front() == 0 && offsets.back() == static_cast<int64_t>(tokens);
  for (size_t i = 1; good && i < offsets.size(); ++i) good = offsets[i] >= offsets[i - 1];
  if (!good)
    throw Error{"ARGUMENT_INVALID",
                std::string(name) + " should start at 0, ascend and end at the number of tokens"};
}

}  // namespace

void check_tokens(std::span<const int32_t> tokens, const ModelConfig& config) {
  for (int32_t token : tokens)
    if (token < 0 || token >= config.vocabulary)
      throw Error{"TOKEN_OUT_OF_RANGE",
                  "token id " + std::to_string(token) + " is outside the model's vocabulary of " +
                      std::to_string(config.vocabulary) + "; does the tokenizer belong to this model?"};
}

void check_prefix(const Prefix* prefix, const Model::Impl& state, bool adapter) {
  if (!prefix) return;
  if (prefix->model != &state) throw Error{"ARGUMENT_INVALID", "the prefix belongs to another model"};
  if (prefix->adapter != adapter)
    throw Error{"ARGUMENT_INVALID", std::string("the prefix was made ") +
                                        (prefix->adapter ? "with" : "without") +
                                        " the adapter; the call wants it otherwise"};
}

void check_batch(const GroupedBatch& batch, const ModelConfig& config, int64_t prefix_length) {
  check_offsets(batch.prompt_offsets, batch.prompt_tokens.size(), "prompt_offsets");
  check_offsets(batch.completion_offsets, batch.completion_tokens.size(), "completion_offsets");
  check_tokens(batch.prompt_tokens, config);
  check_tokens(batch.completion_tokens, config);
  const int64_t prompts = static_cast<int64_t>(batch.prompt_offsets.size()) - 1;
  if (batch.completion_group.size() + 1 != batch.completion_offsets.size())
    throw Error{"ARGUMENT_INVALID", "completion_group should have one entry per completion"};
  for (int64_t p = 0; p < prompts; ++p)
    if (batch.prompt_offsets[p + 1] == batch.prompt_offsets[p])
      throw Error{"ARGUMENT_INVALID",
                  "prompt " + std::to_string(p) + " is empty; a prompt has at least one token"};
  for (size_t c = 0; c < batch.completion_group.size(); ++c) {
    const int32_t group = batch.completion_group[c];
    if (group < 0 || group >= prompts || (c && group < batch.completion_group[c - 1]))
      throw Error{"ARGUMENT_INVALID", "completion_group should ascend and name existing prompts"};
    const int64_t length = prefix_length + batch.prompt_offsets[group + 1] - batch.prompt_offsets[group] +
                           batch.completion_offsets[c + 1] - batch.completion_offsets[c];
    if (length > config.max_positions)
      throw Error{"CONTEXT_EXCEEDED", "prompt " + std::to_string(group) + " with its completion has " +
                                          std::to_string(length) + " tokens; the model's context is " +
                                          std::to_string(config.max_positions)};
  }
  if (!(batch.temperature > 0)) throw Error{"ARGUMENT_INVALID", "temperature should be above 0"};
}

std::vector<MicroBatch> plan_micro_batches(const GroupedBatch& batch, std::span<const int64_t> lengths,
                                           std::span<const uint8_t> wanted, int64_t budget,
                                           const Prefix* prefix) {
  std::vector<MicroBatch> result;
  const size_t completions = batch.completion_group.size();
  for (size_t c = 0; c < completions;) {
    const int32_t group = batch.completion_group[c];
    size_t end = c;
    int64_t rows = batch.prompt_offsets[group + 1] - batch.prompt_offsets[group];
    bool used = false;
    for (; end < completions && batch.completion_group[end] == group; ++end) {
      rows += lengths[end];
      used |= lengths[end] > 0;
    }
    if (used) {
      if (result.empty() || result.back().rows.count() + rows > budget) {
        result.emplace_back();
        result.back().rows.prefix = prefix;
      }
      MicroBatch& target = result.back();
      const int64_t prompt_length = batch.prompt_offsets[group + 1] - batch.prompt_offsets[group];
      const int64_t prompt =
          target.rows.append(batch.prompt_tokens.subspan(batch.prompt_offsets[group], prompt_length), 0, 0);
      for (size_t i = c; i < end; ++i) {
        if (!lengths[i]) continue;
        const int64_t first = batch.completion_offsets[i];
        // The last token predicts nothing, so it needs no row.
        const int64_t start = target.rows.count();
        if (lengths[i] > 1)
          target.rows.append(batch.completion_tokens.subspan(first, lengths[i] - 1), prompt, prompt_length);
        for (int64_t t = 0; t < lengths[i]; ++t)
          if (wanted.empty() || wanted[first + t])
            target.head.push_back({t ? start + t - 1 : prompt + prompt_length - 1, first + t,
                                   batch.completion_tokens[first + t]});
      }
      target.rows.end_root();
    }
    c = end;
  }
  return result;
}

}  // namespace adjudge
