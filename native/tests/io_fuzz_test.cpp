// Mutates good files some twenty thousand times; every reader must read or refuse what comes out. The same
// entries serve libFuzzer.
#include <gtest/gtest.h>

#include <random>

#include "core/json.h"
#include "io/gguf.h"
#include "io/peft.h"
#include "io_builders.h"

#define ADJUDGE_FUZZ_REFUSED 1
// Each driver under a name of its own: 0 means read, 1 refused.
#define ADJUDGE_FUZZ_ENTRY static int fuzz_json
#include "fuzz_json.cpp"
#undef ADJUDGE_FUZZ_ENTRY
#define ADJUDGE_FUZZ_ENTRY static int fuzz_safetensors
#include "fuzz_safetensors.cpp"
#undef ADJUDGE_FUZZ_ENTRY
#define ADJUDGE_FUZZ_ENTRY static int fuzz_gguf
#include "fuzz_gguf.cpp"
#undef ADJUDGE_FUZZ_ENTRY
#define ADJUDGE_FUZZ_ENTRY static int fuzz_peft
#include "fuzz_peft.cpp"

namespace adjudge {
namespace {

using Entry = int (*)(const uint8_t*, size_t);

int run(Entry entry, const std::string& text) {
  // An exact-sized allocation, so that the address sanitizer sees a read one byte past the end.
  const std::vector<uint8_t> bytes(text.begin(), text.end());
  return entry(bytes.data(), bytes.size());
}

void mutate(std::string& text, std::mt19937& random) {
  const auto below = [&](size_t limit) {
    return std::uniform_int_distribution<size_t>(0, limit - 1)(random);
  };
  const size_t changes = 1 + below(4);
  for (size_t i = 0; i < changes && !text.empty(); ++i) {
    const size_t at = below(text.size());
    switch (below(7)) {
      case 0:
        text[at] = static_cast<char>(below(256));
        break;
      case 1:
        text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 2:
        text.erase(at, 1 + below(8));
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), 1 + below(16)));
        break;
      case 4:
        text.resize(at);
        break;
      case 5:
        text[at] = "{}[]\",:0129-eE\\u\xff\0"[below(19)];
        break;
      default: {  // a whole field becomes extreme
        static constexpr uint64_t extremes[] = {
            0, 1, UINT64_MAX, uint64_t{1} << 63, uint64_t{1} << 32, 0x7fffffff, 64};
        const uint64_t value = extremes[below(std::size(extremes))];
        std::memcpy(text.data() + at, &value, std::min<size_t>(8, text.size() - at));
      }
    }
  }
}

void mutate_many(Entry entry, const std::string& seed, int rounds) {
  ASSERT_EQ(run(entry, seed), 0) << "the unchanged file must be read";
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < rounds; ++i) {
    std::string text = seed;
    mutate(text, random);
    refused += run(entry, text);
  }
  EXPECT_GT(refused, 0);
}

TEST(Fuzz, Json) {
  mutate_many(fuzz_json, R"({"a":[1,-2.5e10,true,null,"x\u00e9\ud83d\ude00"],"b":{"c":{}}})", 8000);
}

TEST(Fuzz, Safetensors) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[16,24]}})";
  mutate_many(fuzz_safetensors, testing::safetensors(header, std::string(24, '\1')), 8000);
}

TEST(Fuzz, Gguf) {
  testing::GgufBuilder builder = testing::GgufBuilder::llama();
  builder.tensor("token_embd.weight", {8, 3}, 0, testing::floats(testing::counting(24)));
  builder.tensor("blk.0.attn_q.weight", {8, 8}, 0, testing::floats(testing::counting(64)));
  builder.tensor("blk.0.ffn_down.weight", {32, 2}, 3, std::string(40, '\1'));
  mutate_many(fuzz_gguf, builder.text(), 8000);
}

TEST(Fuzz, Peft) {
  mutate_many(
      fuzz_peft,
      R"({"peft_type":"LORA","r":4,"lora_alpha":10,"target_modules":".*(q|k)_proj[a-c]{2}?","rank_pattern":{"q_proj":8}})",
      2000);
}

}  // namespace
}  // namespace adjudge
