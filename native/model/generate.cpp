// Continuous batch: a finished sequence gives up its row to the next one at once; a prompt is prefilled once
// and its completions share its keys and values.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../core/error.h"
#include "../core/thread_pool.h"
#include "q_decoding.h"
#include "sample.h"
#include "state.h"

namespace adjudge {
namespace {

constexpr int64_t reserved_tokens = 128;  // room in a cache before it has to grow

struct Sequence {
  GeneratedCompletion result;
  KvCache cache;
  std::vector<int32_t> seen;  // for the repetition penalty: prompt and completion
  std::string bytes;          // decoded so far, for stop strings
};

// The prompts that are being admitted, with their last hidden state.
struct Prefilled {
  std::shared_ptr<KvCache> cache;
  std::vector<float> logits;
};

class Generation {
 public:
  Generation(Model::Impl& state, std::span<const int32_t> tokens, std::span<const int32_t> offsets,
             const SamplingOptions& options, const Model::OnCompletion& on_completion,
             const std::atomic<bool>& cancelled, const Prefix* prefix)
      : state_(state),
        network_(state.network),
        tokens_(tokens),
        offsets_(offsets),
        options_(options),
        on_completion_(on_completion),
        cancelled_(cancelled),
        prefix_(prefix),
        kept_(prefix ? prefix->length() : 0),
        prompts_(static_cast<int64_t>(offsets.size()) - 1) {}

  void run() {
    while (!cancelled_ && (!active_.empty() || next_prompt_ < prompts_)) {
      admit();
      decode();
    }
    for (auto& sequence : active_) finish(*sequence, Finish::cancelled);
    for (; next_prompt_ < prompts_; next_completion_ = 0, ++next_prompt_)
      for (; next_completion_ < options_.completions; ++next_completion_) {
        GeneratedCompletion none;
        none.prompt = next_prompt_;
        none.index = next_completion_;
        none.finish = Finish::cancelled;
        on_completion_(std::move(none));
      }
  }

 private:
  std::span<const int32_t> prompt(int64_t index) const {
    return tokens_.subspan(offsets_[index], offsets_[index + 1] - offsets_[index]);
  }

  void admit() {
    while (next_prompt_ < prompts_ && static_cast<int64_t>(active_.size()) < options_.max_batch &&
           !cancelled_) {
      if (next_completion_ == 0) prefill();
      std::vector<std::unique_ptr<Sequence>> fresh;
      while (next_completion_ < options_.completions &&
             static_cast<int64_t>(active_.size() + fresh.size()) < options_.max_batch) {
        auto sequence = std::make_unique<Sequence>(
            Sequence{{}, KvCache(network_.attention, network_.config.layers, prefilled_->cache), {}, {}});
        sequence->result.prompt = next_prompt_;
        sequence->result.index = next_completion_++;
        if (options_.repetition_penalty != 1.0f) {
          auto text = prompt(next_prompt_);
          if (prefix_) sequence->seen = prefix_->tokens;
          sequence->seen.insert(sequence->seen.end(), text.begin(), text.end());
        }
        fresh.push_back(std::move(sequence));
      }
      const int64_t vocabulary = network_.config.vocabulary, count = static_cast<int64_t>(fresh.size());
      std::vector<float> logits(count * vocabulary);
      for (int64_t i = 0; i < count; ++i)
        std::memcpy(&logits[i * vocabulary], prefilled_->logits.data(), vocabulary * sizeof(float));
      if (next_completion_ == options_.completions) {
        prefilled_.reset();
        next_completion_ = 0;
        ++next_prompt_;
      }
      choose(fresh, logits);
      for (auto& sequence : fresh) {
        if (!sequence) continue;
        sequence->cache.reserve(sequence->cache.length() + std::min(options_.max_tokens, reserved_tokens));
        active_.push_back(std::move(sequence));
      }
    }
  }

  void prefill() {
    std::lock_guard lock(state_.mutex);
    auto text = prompt(next_prompt_);
    const auto cache = std::make_shared<KvCache>(network_.attention, network_.config.layers);
    prefilled_ = std::make_unique<Prefilled>(Prefilled{cache, {}});
    const int64_t length = static_cast<int64_t>(text.size());
    cache->reserve(kept_ + length);
    Rows rows;
    rows.prefix = prefix_;
    rows.append(text, 0, 0);
    rows.end_root();
    const int64_t width = network_.attention.kv_width();
    const std::vector<float>& x =
        network_.forward(rows, true, nullptr, [&](int64_t layer, const float* k, const float* v) {
          for (int64_t i = 0; i < kept_; ++i) {
            const int64_t row = (layer * kept_ + i) * width;
            cache->write(layer, i, &prefix_->keys[row], &prefix_->values[row]);
          }
          for (int64_t i = 0; i < length; ++i) cache->write(layer, kept_ + i, k + i * width, v + i * width);
        });
    cache->set_length(kept_ + length);
    next_logits(1, &x[(length - 1) * network_.config.hidden], prefilled_->logits);
  }

  // What is sampled from. hidden [rows, hidden]: before the final norm.
  void next_logits(int64_t rows, const float* hidden, std::vector<float>& logits) {
    network_.head_logits(rows, hidden, logits);
    if (!options_.q_decoding.q_heads.empty())
      add_advantages(state_, options_.q_decoding, rows, hidden, logits);
  }

  void decode() {
    if (active_.empty() || cancelled_) return;
    {
      std::lock_guard lock(state_.mutex);
      std::vector<int32_t> last;
      std::vector<KvCache*> caches;
      for (auto& sequence : active_) {
        last.push_back(sequence->result.tokens.back());
        caches.push_back(&sequence->cache);
      }
      const std::vector<float>& x = network_.decode(last, caches);
      next_logits(static_cast<int64_t>(last.size()), x.data(), logits_);
    }
    choose(active_, logits_);
    std::erase_if(active_, [](const auto& sequence) { return !sequence; });
  }

  // Samples one token for each sequence; resets the pointers of those that ended.
  void choose(std::vector<std::unique_ptr<Sequence>>& sequences, std::vector<float>& logits) {
    const int64_t vocabulary = network_.config.vocabulary;
    parallel_for(static_cast<int64_t>(sequences.size()), [&](int64_t i, int) {
      Sequence& s = *sequences[i];
      GeneratedCompletion& r = s.result;
      const double uniform = keyed_uniform(options_.seed, r.prompt, r.index, r.tokens.size());
      const Sampled sampled = sample({&logits[i * vocabulary], static_cast<size_t>(vocabulary)}, options_,
                                     s.seen, uniform, r.top_log_probs);
      r.tokens.push_back(sampled.token);
      r.log_probs.push_back(sampled.log_prob);
      r.sampling_log_probs.push_back(sampled.sampling_log_prob);
      if (options_.repetition_penalty != 1.0f) s.seen.push_back(sampled.token);
    });
    for (auto& sequence : sequences) {
      GeneratedCompletion& r = sequence->result;
      const int32_t token = r.tokens.back();
      const int64_t context = kept_ + static_cast<int64_t>(prompt(r.prompt).size() + r.tokens.size());
      if (std::find(options_.eos_tokens.begin(), options_.eos_tokens.end(), token) !=
          options_.eos_tokens.end())
        finish(*sequence, Finish::stop);
      else if (matches_stop(*sequence, token))
        finish(*sequence, Finish::stop_string);
      else if (static_cast<int64_t>(r.tokens.size()) >= options_.max_tokens ||
               context >= network_.config.max_positions)
        finish(*sequence, Finish::length);
      else
        continue;
      sequence.reset();
    }
  }

  bool matches_stop(Sequence& s, int32_t token) {
    if (options_.stop_strings.empty()) return false;
    const size_t before = s.bytes.size();
    s.bytes.append(options_.token_bytes, options_.token_byte_offsets[token],
                   options_.token_byte_offsets[token + 1] - options_.token_byte_offsets[token]);
    size_t first = std::string::npos;
    for (const std::string& stop : options_.stop_strings) {
      // A match must end in the new bytes.
      const size_t from = before + 1 > stop.size() ? before + 1 - stop.size() : 0;
      first = std::min(first, s.bytes.find(stop, from));
    }
    if (first == std::string::npos) return false;
    s.result.stop_bytes = static_cast<int64_t>(first);
    return true;
  }

  void finish(Sequence& sequence, Finish reason) {
    sequence.result.finish = reason;
    on_completion_(std::move(sequence.result));
  }

  Model::Impl& state_;
  Network& network_;
  std::span<const int32_t> tokens_, offsets_;
  const SamplingOptions& options_;
  const Model::OnCompletion& on_completion_;
  const std::atomic<bool>& cancelled_;
  const Prefix* prefix_;
  const int64_t kept_;  // tokens of the prefix
  int64_t prompts_, next_prompt_ = 0, next_completion_ = 0;
  std::unique_ptr<Prefilled> prefilled_;
  std::vector<std::unique_ptr<Sequence>> active_;
  std::vector<float> logits_;
};

void check(const SamplingOptions& o, const ModelConfig& config) {
  auto require = [](bool good, const char* message) {
    if (!good) throw Error{"ARGUMENT_INVALID", message};
  };
  require(o.completions >= 1, "n should be at least 1");
  require(o.max_tokens >= 1, "max_tokens should be at least 1");
  require(o.max_batch >= 1, "max_batch should be at least 1");
  require(o.temperature >= 0, "temperature should be 0 (greedy) or above");
  require(o.top_k >= 0, "top_k should be 0 (all) or above");
  require(o.top_p > 0 && o.top_p <= 1, "top_p should be in (0, 1]");
  require(o.min_p >= 0 && o.min_p < 1, "min_p should be in [0, 1)");
  require(o.repetition_penalty > 0, "repetition_penalty should be above 0");
  require(o.top_log_probs >= 0 && o.top_log_probs <= config.vocabulary,
          "top_log_probs should be between 0 and the vocabulary's size");
  require(std::isfinite(o.q_decoding.beta), "beta should be a finite number");
  for (const std::string& stop : o.stop_strings) require(!stop.empty(), "a stop string should not be empty");
  require(
      o.stop_strings.empty() || static_cast<int64_t>(o.token_byte_offsets.size()) >= config.vocabulary + 1,
      "stop strings need the bytes of every token");
}

}  // namespace

void Model::generate(std::span<const int32_t> prompt_tokens, std::span<const int32_t> prompt_offsets,
                     const SamplingOptions& options, const OnCompletion& on_completion,
                     const std::atomic<bool>& cancelled, const Prefix* prefix) {
  check(options, config());
  check_prefix(prefix, *impl_, true);
  const int64_t kept = prefix ? prefix->length() : 0;
  check_tokens(prompt_tokens, config());
  if (prompt_offsets.empty()) return;
  for (size_t i = 1; i < prompt_offsets.size(); ++i) {
    const int64_t length = prompt_offsets[i] - prompt_offsets[i - 1];
    if (prompt_offsets[i - 1] < 0 || length < 1 ||
        prompt_offsets[i] > static_cast<int64_t>(prompt_tokens.size()))
      throw Error{"ARGUMENT_INVALID",
                  "prompt " + std::to_string(i - 1) + " is empty or lies outside the tokens"};
    if (kept + length >= config().max_positions)
      throw Error{"CONTEXT_EXCEEDED", "prompt " + std::to_string(i - 1) + " has " +
                                          std::to_string(kept + length) + " tokens; the model's context is " +
                                          std::to_string(config().max_positions)};
  }
  Generation(*impl_, prompt_tokens, prompt_offsets, options, on_completion, cancelled, prefix).run();
}

}  // namespace adjudge
