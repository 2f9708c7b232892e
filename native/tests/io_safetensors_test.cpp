#include <gtest/gtest.h>

#include <algorithm>

#include "core/file.h"
#include "core/json.h"
#include "io/safetensors.h"
#include "io_builders.h"

namespace adjudge {
namespace {

using testing::bytes_of;
using testing::counting;
using testing::expect_error;
using testing::floats;
using testing::safetensors;
using testing::TemporaryFolder;

TensorToWrite tensor_of(const std::string& name, StoredType type, std::vector<int64_t> shape,
                        std::vector<float> values) {
  return {name, type, std::move(shape),
          [values = std::move(values)](int64_t first, int64_t count, float* out) {
            std::copy_n(values.begin() + first, count, out);
          }};
}

std::vector<float> all_of(const TensorSource& source, const std::string& name) {
  const StoredTensor* tensor = source.find(name);
  if (tensor == nullptr) return {};
  std::vector<float> values(static_cast<size_t>(element_count(*tensor)));
  read_all(*tensor, values.data());
  return values;
}

void refuse(const std::string& part, const std::string& file) {
  SCOPED_TRACE(part);
  expect_error("SAFETENSORS_INVALID", part, [&] { parse_safetensors(bytes_of(file), "model.safetensors"); });
  expect_error("SAFETENSORS_INVALID", "model.safetensors",
               [&] { parse_safetensors(bytes_of(file), "model.safetensors"); });
}

TEST(Safetensors, ReadsEveryType) {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"f":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},)"
      R"("h":{"dtype":"F16","shape":[1],"data_offsets":[16,18]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[18,20]},)"
      R"("d":{"dtype":"F64","shape":[],"data_offsets":[20,28]},"i":{"dtype":"I32","shape":[1],"data_offsets":[28,32]},)"
      R"("l":{"dtype":"I64","shape":[1],"data_offsets":[32,40]},"u":{"dtype":"U8","shape":[1],"data_offsets":[40,41]},)"
      R"("t":{"dtype":"BOOL","shape":[1],"data_offsets":[41,42]},"e":{"dtype":"F32","shape":[0,3],"data_offsets":[42,42]}}  )";
  std::string data = floats({1, 2, 3, 4});
  testing::append(data, uint16_t{0x3c00});
  testing::append(data, uint16_t{0xc000});
  testing::append(data, 0.5);
  testing::append(data, int32_t{-7});
  testing::append(data, int64_t{1} << 40);
  testing::append(data, uint8_t{200});
  testing::append(data, uint8_t{1});
  const std::string file = safetensors(header, data);
  const auto source = parse_safetensors(bytes_of(file), "test");
  EXPECT_EQ(source->names(), (std::vector<std::string>{"b", "d", "e", "f", "h", "i", "l", "t", "u"}));
  EXPECT_EQ(all_of(*source, "f"), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(all_of(*source, "h"), std::vector<float>{1});
  EXPECT_EQ(all_of(*source, "b"), std::vector<float>{-2});
  EXPECT_EQ(all_of(*source, "d"), std::vector<float>{0.5});
  EXPECT_EQ(all_of(*source, "i"), std::vector<float>{-7});
  EXPECT_EQ(all_of(*source, "l"), std::vector<float>{1099511627776.0f});
  EXPECT_EQ(all_of(*source, "u"), std::vector<float>{200});
  EXPECT_EQ(all_of(*source, "t"), std::vector<float>{1});
  EXPECT_TRUE(all_of(*source, "e").empty());
  EXPECT_EQ(source->find("missing"), nullptr);
  float row[2];
  read_rows(*source->find("f"), 1, 1, row);
  EXPECT_EQ(row[0], 3);
  expect_error("TENSOR_INVALID", "rows 1 to 3", [&] { read_rows(*source->find("f"), 1, 2, row); });
}

TEST(Safetensors, RefusesHeadersThatLie) {
  const auto one = [](const std::string& entry, size_t bytes) {
    return safetensors("{\"a\":" + entry + "}", std::string(bytes, '\0'));
  };
  refuse("has 3 bytes", "abc");
  std::string long_header = safetensors("{}", "");
  long_header[0] = 100;
  refuse("header of 100 bytes", long_header);
  refuse("more than the format allows", std::string(8, '\xff') + "{}");
  refuse("does not begin with", safetensors(" {}", ""));
  refuse("does not begin with", safetensors("", ""));
  refuse("invalid JSON at byte 4", safetensors(R"({"a")", ""));
  refuse(
      "twice",
      safetensors(
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
          std::string(8, '\0')));
  refuse("tensor \"a\": its entry", one("1", 4));
  refuse("dtype is missing", one(R"({"shape":[1],"data_offsets":[0,4]})", 4));
  refuse("dtype \"F4\" is not supported", one(R"({"dtype":"F4","shape":[1],"data_offsets":[0,4]})", 4));
  refuse("shape is not a list", one(R"({"dtype":"F32","shape":1,"data_offsets":[0,4]})", 4));
  refuse("not a size", one(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})", 4));
  refuse("not a size", one(R"({"dtype":"F32","shape":[1.0],"data_offsets":[0,4]})", 4));
  refuse("64 bits", one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]})", 4));
  refuse("64 bits", one(R"({"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]})", 0));
  refuse("64 bits", one(R"({"dtype":"F64","shape":[9223372036854775807],"data_offsets":[0,8]})", 8));
  refuse("needs 8 bytes", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})", 4));
  refuse("not a pair", one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,0]})", 4));
  refuse("not a pair", one(R"({"dtype":"F32","shape":[1],"data_offsets":[-4,0]})", 4));
  refuse("not a pair", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0]})", 4));
  refuse("cut off", one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})", 4));
  refuse("tensors cover 4", one(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})", 8));
  refuse("hole of 4 bytes", one(R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})", 8));
  refuse(
      "overlap",
      safetensors(
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
          std::string(12, '\0')));
  refuse("__metadata__", safetensors(R"({"__metadata__":{"a":1}})", ""));
  refuse("__metadata__", safetensors(R"({"__metadata__":[]})", ""));
}

TEST(Safetensors, WritesWhatItReads) {
  const TemporaryFolder folder;
  const std::vector<float> large = counting(200000, -1000);
  const TensorToWrite tensors[] = {tensor_of("large", StoredType::f32, {400, 500}, large),
                                   tensor_of("b", StoredType::bf16, {3}, {1, 1.00390625f, -2.5f}),
                                   tensor_of("h", StoredType::f16, {1, 2}, {0.1f, 65504}),
                                   tensor_of("empty", StoredType::f32, {0}, {})};
  const std::string path = folder / "model.safetensors";
  write_safetensors(path, tensors, {{"made_by", "a test"}});
  EXPECT_EQ(folder.names(), std::vector<std::string>{"model.safetensors"});
  const auto source = open_safetensors(folder.path());
  EXPECT_EQ(all_of(*source, "large"), large);
  EXPECT_EQ(all_of(*source, "b"), (std::vector<float>{1, 1, -2.5f}));
  EXPECT_EQ(all_of(*source, "h"), (std::vector<float>{0.0999755859375f, 65504}));
  EXPECT_TRUE(all_of(*source, "empty").empty());

  const MappedFile file(path);
  uint64_t length = 0;
  std::memcpy(&length, file.bytes().data(), 8);
  EXPECT_EQ(length % 8, 0u);
  const Json header = parse_json(file.text().substr(8, length), path);
  EXPECT_EQ(header.find("__metadata__")->find("format")->string(), "pt");
  EXPECT_EQ(header.find("__metadata__")->find("made_by")->string(), "a test");
}

TEST(Safetensors, WritesNothingWhereATensorIsWrong) {
  const TemporaryFolder folder;
  const TensorToWrite twice[] = {tensor_of("a", StoredType::f32, {1}, {1}),
                                 tensor_of("a", StoredType::f32, {1}, {1})};
  expect_error("TENSOR_INVALID", "given twice", [&] { write_safetensors(folder / "x", twice); });
  const TensorToWrite integer[] = {tensor_of("a", StoredType::i64, {1}, {1})};
  expect_error("TENSOR_INVALID", "only F32", [&] { write_safetensors(folder / "x", integer); });
  const TensorToWrite failing[] = {
      {"a", StoredType::f32, {1}, [](int64_t, int64_t, float*) { throw Error("CANCELLED", "stop"); }}};
  expect_error("CANCELLED", "stop", [&] { write_safetensors(folder / "x", failing); });
  EXPECT_TRUE(folder.names().empty());
}

TEST(Safetensors, ReadsShards) {
  const TemporaryFolder folder;
  const TensorToWrite first[] = {tensor_of("a", StoredType::f32, {2}, {1, 2})};
  const TensorToWrite second[] = {tensor_of("b", StoredType::f32, {1}, {3})};
  write_safetensors(folder / "model-00001-of-00002.safetensors", first);
  write_safetensors(folder / "model-00002-of-00002.safetensors", second);
  const std::string index = folder / "model.safetensors.index.json";
  const std::string one = "model-00001-of-00002.safetensors", two = "model-00002-of-00002.safetensors";
  const auto write_index = [&](const std::string& a, const std::string& b) {
    write_file_atomically(index, R"({"weight_map":{"a":")" + a + R"(","b":")" + b + "\"}}");
  };
  write_index(one, two);
  const auto source = open_safetensors(folder.path());
  EXPECT_EQ(source->names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(all_of(*source, "a"), (std::vector<float>{1, 2}));
  EXPECT_EQ(all_of(*source, "b"), std::vector<float>{3});

  const auto open = [&] { open_safetensors(folder.path()); };
  write_index(two, one);
  expect_error("SAFETENSORS_INVALID", "said to lie in", open);
  write_index(one, "model-00003-of-00002.safetensors");
  expect_error("FILE_NOT_FOUND", "model-00003", open);
  write_index(one, "../secret.safetensors");
  expect_error("SAFETENSORS_INVALID", "same folder", open);
  write_file_atomically(index, "{}");
  expect_error("SAFETENSORS_INVALID", "weight_map", open);
  write_file_atomically(index, "{");
  expect_error("JSON_INVALID", "index.json", open);
  std::filesystem::remove(index);
  expect_error("FILE_NOT_FOUND", "holds neither", open);
}

}  // namespace
}  // namespace adjudge
