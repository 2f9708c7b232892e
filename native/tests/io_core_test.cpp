// JSON, half floats, and files.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <bit>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "core/file.h"
#include "core/half.h"
#include "core/json.h"
#include "io_builders.h"

namespace adjudge {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

std::string content(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

TEST(Json, ReadsEveryKindOfValue) {
  const Json json =
      parse_json(R"( {"a": [1, -2.5e1, true, false, null], "b": {"c": "x\u00e9\ud83d\ude00\n"}} )", "test");
  const auto& items = json.find("a")->items();
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[0].integer(), 1);
  EXPECT_EQ(items[1].number(), -25.0);
  EXPECT_FALSE(items[1].integer().has_value());
  EXPECT_TRUE(items[2].boolean());
  EXPECT_TRUE(items[3].is_boolean());
  EXPECT_TRUE(items[4].is_null());
  EXPECT_EQ(json.find("b")->find("c")->string(), "xé😀\n");
  EXPECT_EQ(json.find("missing"), nullptr);
}

TEST(Json, KeepsIntegersExact) {
  EXPECT_EQ(parse_json("9223372036854775807", "test").integer(), INT64_MAX);
  EXPECT_EQ(parse_json("-9223372036854775808", "test").integer(), INT64_MIN);
  const Json large = parse_json("9223372036854775808", "test");
  EXPECT_FALSE(large.integer().has_value());
  EXPECT_EQ(large.number(), 9223372036854775808.0);
  EXPECT_FALSE(parse_json("1.0", "test").integer().has_value());
  EXPECT_EQ(parse_json("1e-999", "test").number(), 0.0);
}

TEST(Json, RefusesWhatIsNotStrictJsonAndSaysWhere) {
  const std::pair<const char*, const char*> cases[] = {{"", "byte 0"},
                                                       {"{\"a\":1,}", "byte 7"},
                                                       {"[1,]", "byte 3"},
                                                       {"[1 2]", "byte 3"},
                                                       {"01", "byte 1"},
                                                       {"1.", "byte 2"},
                                                       {"-", "byte 1"},
                                                       {"+1", "byte 0"},
                                                       {"nul", "byte 0"},
                                                       {"NaN", "byte 0"},
                                                       {"'a'", "byte 0"},
                                                       {"\"a", "byte 0"},
                                                       {"\"\\x\"", "byte 2"},
                                                       {"\"\\ud800\"", "surrogate"},
                                                       {"\"\\udc00\"", "surrogate"},
                                                       {"\"a\nb\"", "byte 2"},
                                                       {"1 2", "byte 2"},
                                                       {"1e999", "too large"},
                                                       {"{1:2}", "byte 1"},
                                                       {"{\"a\" 1}", "byte 5"},
                                                       {"\"\xff\"", "UTF-8"},
                                                       {"\"\xc0\x80\"", "UTF-8"},
                                                       {"\"\xed\xa0\x80\"", "UTF-8"},
                                                       {"[", "byte 1"}};
  for (const auto& [text, part] : cases) {
    SCOPED_TRACE(text);
    expect_error("JSON_INVALID", part, [&] { parse_json(text, "config.json"); });
    expect_error("JSON_INVALID", "config.json", [&] { parse_json(text, "config.json"); });
  }
}

TEST(Json, RefusesDuplicateKeysAndDeepNesting) {
  expect_error("JSON_INVALID", "\"a\" twice", [] { parse_json(R"({"a":1,"b":2,"a":3})", "test"); });
  expect_error("JSON_INVALID", "nesting", [] { parse_json(std::string(100000, '['), "test"); });
  EXPECT_NO_THROW(parse_json(std::string(64, '[') + std::string(64, ']'), "test"));
}

TEST(Json, WritesTextThatReadsBackEqual) {
  const std::string text = R"({"a":[1,-0.1,100000.0,1e-05,true,null],"b":"\"\\\n\u0001é"})";
  EXPECT_EQ(parse_json(text, "test").text(), text);
  EXPECT_EQ(parse_json(parse_json(text, "test").text(2), "test").text(), text);
  EXPECT_EQ(Json::object({{"n", std::numeric_limits<double>::infinity()}}).text(), R"({"n":null})");
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // half way: the even one below
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // half way: the even one above
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  EXPECT_EQ(f32_to_f16(1.0f), 0x3c00);
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(0x1p-24f), 0x0001);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);  // half way to the smallest: even is zero
  EXPECT_EQ(f32_to_f16(0x1.8p-24f), 0x0002);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Half, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float from_f16 = f16_to_f32(half);
    const float from_bf16 = bf16_to_f32(half);
    ASSERT_TRUE(std::isnan(from_f16) || f32_to_f16(from_f16) == half) << bits;
    ASSERT_TRUE(std::isnan(from_bf16) || f32_to_bf16(from_bf16) == half) << bits;
  }
}

TEST(MappedFile, ReadsAFileAndExplainsWhatItCannotRead) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "hello");
  const MappedFile file(folder / "a");
  EXPECT_EQ(file.text(), "hello");
  MappedFile other(folder / "a");
  const MappedFile moved = std::move(other);
  EXPECT_EQ(moved.text(), "hello");

  expect_error("FILE_NOT_FOUND", "no such file", [&] { MappedFile(folder / "missing"); });
  expect_error("FILE_NOT_FOUND", "no such file", [&] { MappedFile(folder / "a/b"); });
  expect_error("FILE_UNREADABLE", "is a folder", [&] { MappedFile{folder.path()}; });
  std::ofstream(folder / "empty").flush();
  expect_error("FILE_UNREADABLE", "is empty", [&] { MappedFile(folder / "empty"); });
}

TEST(MappedFile, RefusesAFileWithoutPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may read everything";
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "hello");
  chmod((folder / "a").c_str(), 0);
  expect_error("PERMISSION_DENIED", "no permission", [&] { MappedFile(folder / "a"); });
}

TEST(AtomicFile, AppearsWholeOrNotAtAll) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  {
    AtomicFile file(folder / "a");
    file.write("new");
    EXPECT_EQ(content(folder / "a"), "old");
  }  // left without commit
  EXPECT_EQ(content(folder / "a"), "old");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});

  AtomicFile file(folder / "a");
  file.reserve(4 << 20);  // more than is written: no zeros may stay behind
  const std::string large(3 << 20, 'x');
  file.write(large);
  file.commit();
  EXPECT_TRUE(content(folder / "a") == large);
  EXPECT_EQ(folder.names(), std::vector<std::string>{"a"});
}

TEST(AtomicFile, ExplainsWhereItCannotWrite) {
  const TemporaryFolder folder;
  expect_error("FILE_NOT_FOUND", "no such folder", [&] { AtomicFile(folder / "missing/a"); });
  expect_error("FILE_UNWRITABLE", "is a folder", [&] { AtomicFile{folder.path()}; });
}

TEST(AtomicFile, LeavesNothingBehindOnAFullDisk) {
  const TemporaryFolder folder;
  if (mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0) {
    GTEST_SKIP() << "mounting a small disk is not permitted here";
  }
  expect_error("DISK_FULL", "disk is full",
               [&] { write_file_atomically(folder / "a", std::string(1 << 20, 'x')); });
  EXPECT_TRUE(folder.names().empty());
  expect_error("DISK_FULL", "disk is full", [&] { AtomicFile(folder / "a").reserve(1 << 20); });
  EXPECT_TRUE(folder.names().empty());
  umount(folder.path().c_str());
}

}  // namespace
}  // namespace adjudge
