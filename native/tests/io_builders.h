// Small files for the tests of the readers: made field by field, so that a test can make any field lie.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace adjudge::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "adjudge-").string() + std::string(6, 'X');
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      found.push_back(entry.path().filename().string());
    return found;
  }

 private:
  std::string path_;
};

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

inline std::string floats(const std::vector<float>& values) {
  std::string out;
  for (const float value : values) append(out, value);
  return out;
}

// Expects an Error with this code whose message contains the part.
template <typename Work>
void expect_error(const std::string& code, const std::string& part, Work work) {
  try {
    work();
    ADD_FAILURE() << "no error; expected " << code << " with \"" << part << "\"";
  } catch (const Error& error) {
    EXPECT_EQ(error.code, code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

inline std::string safetensors(const std::string& header, const std::string& data) {
  std::string out;
  append(out, static_cast<uint64_t>(header.size()));
  return out + header + data;
}

// A GGUF file in the making. Fields can be set to anything before text() joins them.
struct GgufBuilder {
  uint32_t version = 3;
  std::string keys;
  uint64_t key_count = 0;
  std::string infos;
  uint64_t tensor_count = 0;
  std::string data;

  static std::string string(const std::string& text) {
    std::string out;
    append(out, static_cast<uint64_t>(text.size()));
    return out + text;
  }
  void key(const std::string& name, uint32_t type, const std::string& value) {
    keys += string(name);
    append(keys, type);
    keys += value;
    ++key_count;
  }
  void key_u32(const std::string& name, uint32_t value) {
    std::string bytes;
    append(bytes, value);
    key(name, 4, bytes);
  }
  void key_f32(const std::string& name, float value) { key(name, 6, floats({value})); }
  void key_string(const std::string& name, const std::string& value) { key(name, 8, string(value)); }
  void info(const std::string& name, const std::vector<uint64_t>& dimensions, uint32_t type,
            uint64_t offset) {
    infos += string(name);
    append(infos, static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t dimension : dimensions) append(infos, dimension);
    append(infos, type);
    append(infos, offset);
    ++tensor_count;
  }
  // dimensions in the file's order: the contiguous one first.
  void tensor(const std::string& name, const std::vector<uint64_t>& dimensions, uint32_t type,
              const std::string& bytes) {
    data.resize((data.size() + 31) / 32 * 32);
    info(name, dimensions, type, data.size());
    data += bytes;
  }
  std::string text() const {
    std::string out = "GGUF";
    append(out, version);
    append(out, tensor_count);
    append(out, key_count);
    out += keys + infos;
    out.resize((out.size() + 31) / 32 * 32);
    return out + data;
  }

  // The header of a llama model: width 8, 2 heads of 4, 1 key-value head, 1 layer.
  static GgufBuilder llama() {
    GgufBuilder builder;
    builder.key_string("general.architecture", "llama");
    builder.key_u32("llama.embedding_length", 8);
    builder.key_u32("llama.feed_forward_length", 16);
    builder.key_u32("llama.block_count", 1);
    builder.key_u32("llama.attention.head_count", 2);
    builder.key_u32("llama.attention.head_count_kv", 1);
    builder.key_u32("llama.context_length", 64);
    builder.key_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    builder.key_f32("llama.rope.freq_base", 10000);
    return builder;
  }
};

inline std::vector<float> counting(int64_t count, float first = 0) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(first + static_cast<float>(i));
  return values;
}

}  // namespace adjudge::testing
