// Exports generate: completions stream to a callback as each finishes.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../model/model.h"
#include "handle.h"

namespace adjudge {

namespace {

using namespace arguments;

const char* finish_name(Finish finish) {
  switch (finish) {
    case Finish::stop:
      return "stop";
    case Finish::stop_string:
      return "stop_string";
    case Finish::length:
      return "length";
    case Finish::cancelled:
      return "cancelled";
  }
  return "length";
}

SamplingOptions read_sampling(const Napi::Value& value) {
  constexpr int64_t many = int64_t{1} << 31;
  Napi::Object source = object(value, "options");
  SamplingOptions options;
  options.completions = integer(source.Get("n"), "n", 1, many);
  options.max_tokens = integer(source.Get("maxTokens"), "maxTokens", 1, many);
  options.max_batch = integer(source.Get("maxBatch"), "maxBatch", 1, 65536);
  options.top_log_probs = integer(source.Get("topLogProbs"), "topLogProbs", 0, 20);
  options.temperature = static_cast<float>(number(source.Get("temperature"), "temperature"));
  options.top_p = static_cast<float>(number(source.Get("topP"), "topP"));
  options.min_p = static_cast<float>(number(source.Get("minP"), "minP"));
  options.repetition_penalty =
      static_cast<float>(number(source.Get("repetitionPenalty"), "repetitionPenalty"));
  options.top_k = integer(source.Get("topK"), "topK", 0, many);
  options.seed = static_cast<uint64_t>(integer(source.Get("seed"), "seed", 0, int64_t{1} << 53));
  options.eos_tokens = int32s(source.Get("eosTokens"), "eosTokens");
  options.stop_strings = strings(source.Get("stop"), "stop");
  if (!source.Get("qDecoding").IsUndefined()) {
    Napi::Object decoding = object(source.Get("qDecoding"), "qDecoding");
    options.q_decoding.beta = static_cast<float>(number(decoding.Get("beta"), "qDecoding.beta"));
    options.q_decoding.q_heads = strings(decoding.Get("qHeads"), "qDecoding.qHeads");
    options.q_decoding.value_head = string(decoding.Get("valueHead"), "qDecoding.valueHead");
  }
  if (!options.stop_strings.empty()) {
    Napi::Value bytes = source.Get("tokenBytes");
    if (!bytes.IsTypedArray() || bytes.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
      refuse("tokenBytes", "a Uint8Array");
    }
    auto array = bytes.As<Napi::Uint8Array>();
    options.token_bytes.assign(reinterpret_cast<const char*>(array.Data()), array.ElementLength());
    std::vector<int32_t> offsets = int32s(source.Get("tokenByteOffsets"), "tokenByteOffsets");
    check_offsets(offsets, options.token_bytes.size(), "tokenByteOffsets");
    options.token_byte_offsets.assign(offsets.begin(), offsets.end());
  }
  return options;
}

Napi::Value completion_value(Napi::Env env, GeneratedCompletion& completion, int64_t top) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("prompt", static_cast<double>(completion.prompt));
  result.Set("index", static_cast<double>(completion.index));
  result.Set("tokens", copy(env, completion.tokens));
  result.Set("logProbs", copy(env, completion.log_probs));
  result.Set("samplingLogProbs", copy(env, completion.sampling_log_probs));
  result.Set("finishReason", finish_name(completion.finish));
  result.Set("stopBytes", static_cast<double>(completion.stop_bytes));
  if (top > 0) {
    auto tokens = Napi::Int32Array::New(env, completion.top_log_probs.size());
    auto log_probs = Napi::Float32Array::New(env, completion.top_log_probs.size());
    for (size_t index = 0; index < completion.top_log_probs.size(); ++index) {
      tokens[index] = completion.top_log_probs[index].token;
      log_probs[index] = completion.top_log_probs[index].log_prob;
    }
    result.Set("topTokens", tokens);
    result.Set("topLogProbs", log_probs);
  }
  return result;
}

// generate(model, promptTokens, promptOffsets, options, onCompletion) -> { done, cancel }
Napi::Value generate(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto entry = unwrap_model(info[0]);
  const ModelConfig& config = entry->model->config();
  std::vector<int32_t> tokens = int32s(info[1], "promptTokens");
  std::vector<int32_t> offsets = int32s(info[2], "promptOffsets");
  check_offsets(offsets, tokens.size(), "promptOffsets");
  SamplingOptions options = read_sampling(info[3]);
  auto prefix = unwrap_prefix(object(info[3], "options").Get("prefix"));
  const int64_t kept = prefix ? prefix->length() : 0;
  for (int32_t token : tokens) {
    if (token < 0 || token >= config.vocabulary) {
      refuse("promptTokens", "token ids from 0 to " + std::to_string(config.vocabulary - 1));
    }
  }
  for (size_t index = 0; index + 1 < offsets.size(); ++index) {
    int64_t length = int64_t{offsets[index + 1]} - offsets[index];
    if (length == 0) refuse("promptTokens", "at least one token in every prompt");
    if (kept + length >= config.max_positions) {
      throw Error("CONTEXT_EXCEEDED",
                  "Prompt " + std::to_string(index) + " has " + std::to_string(kept + length) +
                      " tokens and leaves no room for an answer: the model's context is " +
                      std::to_string(config.max_positions));
    }
  }
  if (!info[4].IsFunction()) refuse("onCompletion", "a function");
  auto job = Job::start(
      env,
      [entry, tokens, offsets, options, prefix](Job& running) -> Job::Result {
        entry->model->generate(
            tokens, offsets, options,
            [&running, top = options.top_log_probs](GeneratedCompletion&& completion) {
              auto kept = std::make_shared<GeneratedCompletion>(std::move(completion));
              running.post([kept, top](Napi::Env target, Napi::Function callback) {
                callback.Call({completion_value(target, *kept, top)});
              });
            },
            running.cancelled(), prefix.get());
        return {};
      },
      entry->turnstile, info[4].As<Napi::Function>());
  Napi::Object result = Napi::Object::New(env);
  result.Set("done", job->promise());
  result.Set("cancel", Napi::Function::New(
                           env,
                           [weak = std::weak_ptr<Job>(job)](const Napi::CallbackInfo&) {
                             if (auto alive = weak.lock()) alive->cancel();
                           },
                           "cancel"));
  return result;
}

}  // namespace

void export_generate(Napi::Env env, Napi::Object exports) {
  export_function(env, exports, "generate", generate);
}

}  // namespace adjudge
