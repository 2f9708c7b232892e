#include "io/gguf.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "io/gguf_llama.h"
#include "io/shape.h"

namespace adjudge {
namespace {

constexpr int maximum_array_depth = 4;
constexpr uint32_t maximum_dimensions = 4;
constexpr uint64_t maximum_array_items = 1 << 23;  // large vocabularies have under a million entries

// The names of the format's tensor types, for messages.
std::string ggml_type_name(uint32_t type) {
  static const std::map<uint32_t, const char*> names = {
      {0, "F32"},     {1, "F16"},    {2, "Q4_0"},     {3, "Q4_1"},    {6, "Q5_0"},     {7, "Q5_1"},
      {8, "Q8_0"},    {9, "Q8_1"},   {10, "Q2_K"},    {11, "Q3_K"},   {12, "Q4_K"},    {13, "Q5_K"},
      {14, "Q6_K"},   {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"},
      {20, "IQ4_NL"}, {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},
      {26, "I32"},    {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {30, "BF16"},    {34, "TQ1_0"},
      {35, "TQ2_0"},  {39, "MXFP4"}};
  const auto found = names.find(type);
  return found == names.end() ? "number " + std::to_string(type) : found->second;
}

std::optional<StoredType> supported_type(uint32_t type) {
  switch (type) {
    case 0:
      return StoredType::f32;
    case 1:
      return StoredType::f16;
    case 3:
      return StoredType::q4_1;
    case 8:
      return StoredType::q8_0;
    case 30:
      return StoredType::bf16;
    default:
      return std::nullopt;
  }
}

// A float as the double of its shortest decimal, so that 1e-5f reads 1e-5 and not 9.999999747378752e-06.
double shortest_double(float value) {
  if (!std::isfinite(value)) return static_cast<double>(value);
  char buffer[64];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, value);
  double result = 0;
  std::from_chars(buffer, written.ptr, result);
  return result;
}

// Walks the bytes of the header and never past their end.
class Reader {
 public:
  Reader(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  [[noreturn]] void fail(const std::string& what) const { throw Error("GGUF_INVALID", file_ + ": " + what); }
  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  template <typename T>
  T number(const std::string& what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof value);
    position_ += sizeof value;
    return value;
  }

  std::string string(const std::string& what) {
    const auto length = number<uint64_t>(what);
    need(length, what);
    std::string text(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    position_ += length;
    if (!is_valid_utf8(text)) fail(what + " is not valid UTF-8");
    return text;
  }

  // A count of things that take at least `smallest` bytes each: one that lies is found before memory is asked
  // for.
  uint64_t count(size_t smallest, const std::string& what) {
    const auto value = number<uint64_t>(what);
    if (value > left() / smallest) {
      fail(what + " says " + std::to_string(value) +
           ", more than the file has room for; it is cut off or damaged");
    }
    return value;
  }

  Json value(uint32_t type, const std::string& what, int depth) {
    switch (type) {
      case 0:
        return Json(static_cast<int64_t>(number<uint8_t>(what)));
      case 1:
        return Json(static_cast<int64_t>(number<int8_t>(what)));
      case 2:
        return Json(static_cast<int64_t>(number<uint16_t>(what)));
      case 3:
        return Json(static_cast<int64_t>(number<int16_t>(what)));
      case 4:
        return Json(static_cast<int64_t>(number<uint32_t>(what)));
      case 5:
        return Json(static_cast<int64_t>(number<int32_t>(what)));
      case 6:
        return Json(shortest_double(number<float>(what)));
      case 7:
        return Json(number<uint8_t>(what) != 0);
      case 8:
        return Json(string(what));
      case 9:
        return array(what, depth + 1);
      case 10: {
        const auto large = number<uint64_t>(what);
        constexpr auto largest = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
        return large <= largest ? Json(static_cast<int64_t>(large)) : Json(static_cast<double>(large));
      }
      case 11:
        return Json(number<int64_t>(what));
      case 12:
        return Json(number<double>(what));
      default:
        fail(what + " has the unknown value type " + std::to_string(type));
    }
  }

 private:
  void need(uint64_t size, const std::string& what) const {
    if (size > left()) {
      fail(what + " needs " + std::to_string(size) + " bytes at byte " + std::to_string(position_) +
           " but only " + std::to_string(left()) + " are left; the file is cut off or damaged");
    }
  }

  Json array(const std::string& what, int depth) {
    if (depth > maximum_array_depth) fail(what + " nests arrays too deeply");
    static constexpr size_t smallest[] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
    const auto type = number<uint32_t>(what);
    if (type >= std::size(smallest)) fail(what + " has the unknown value type " + std::to_string(type));
    const uint64_t items = count(smallest[type], "the length of " + what);
    array_items_ += items;
    if (array_items_ > maximum_array_items)
      fail("its metadata arrays hold more than " + std::to_string(maximum_array_items) + " values");
    std::vector<Json> values;
    values.reserve(items);
    for (uint64_t i = 0; i < items; ++i) values.push_back(value(type, what, depth));
    return Json::array(std::move(values));
  }

  std::span<const std::byte> bytes_;
  const std::string& file_;
  size_t position_ = 0;
  uint64_t array_items_ = 0;
};

struct Placed {
  StoredTensor tensor;
  uint64_t offset = 0;
};

Placed read_tensor_info(Reader& reader) {
  Placed placed;
  StoredTensor& tensor = placed.tensor;
  tensor.name = reader.string("a tensor's name");
  const std::string what = "tensor " + json_quote(tensor.name);
  const auto dimensions = reader.number<uint32_t>(what);
  if (dimensions > maximum_dimensions)
    reader.fail(what + " has " + std::to_string(dimensions) + " dimensions; 4 at most");
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = reader.number<uint64_t>(what);
    if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      reader.fail(what + " has a dimension too large");
    tensor.shape.insert(tensor.shape.begin(),
                        static_cast<int64_t>(size));  // the first one is the contiguous one
  }
  const auto type = reader.number<uint32_t>(what);
  placed.offset = reader.number<uint64_t>(what);
  const std::optional<int64_t> elements = checked_element_count(tensor.shape);
  if (!elements) reader.fail(what + ": its dimensions multiply to more than 64 bits hold");
  const std::optional<StoredType> supported = supported_type(type);
  if (!supported) {
    throw Error("UNSUPPORTED_TENSOR_TYPE",
                what + " is stored as " + ggml_type_name(type) +
                    "; supported: F32, F16, BF16, Q8_0, Q4_1. Convert the file, for "
                    "example with llama-quantize to Q8_0");
  }
  tensor.type = *supported;
  try {
    if (!tensor.shape.empty())
      stored_bytes(tensor.type, tensor.shape.back());  // a row is a whole number of blocks
    tensor.bytes = stored_bytes(tensor.type, *elements);
  } catch (const Error& error) {
    reader.fail(what + ": " + error.what());
  }
  return placed;
}

void check_overlap(const Reader& reader, std::vector<Placed>& placed) {
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.tensor.bytes < b.tensor.bytes;
  });
  for (size_t i = 1; i < placed.size(); ++i) {
    const Placed& before = placed[i - 1];
    if (before.offset + before.tensor.bytes > placed[i].offset) {
      reader.fail("the data of tensors " + json_quote(before.tensor.name) + " and " +
                  json_quote(placed[i].tensor.name) + " overlap");
    }
  }
}

}  // namespace

GgufFile::GgufFile(std::span<const std::byte> bytes, std::string name) : name_(std::move(name)) {
  parse(bytes);
}

GgufFile::GgufFile(const std::string& path) : name_(path), file_(path) { parse(file_->bytes()); }

std::unique_ptr<GgufFile> open_gguf(const std::string& path) { return std::make_unique<GgufFile>(path); }

void GgufFile::parse(std::span<const std::byte> bytes) {
  Reader reader(bytes, name_);
  if (bytes.size() < 4 || std::memcmp(bytes.data(), "GGUF", 4) != 0)
    reader.fail("does not begin with GGUF; not a GGUF file");
  reader.number<uint32_t>("the magic number");
  const auto version = reader.number<uint32_t>("the version");
  if (version != 3) {
    reader.fail(version == 0x03000000u
                    ? std::string("is a big-endian GGUF file; only little-endian ones are read")
                    : "is GGUF version " + std::to_string(version) + "; version 3 was expected");
  }
  const uint64_t tensor_count = reader.count(24, "the number of tensors");
  const uint64_t key_count = reader.count(13, "the number of metadata keys");
  for (uint64_t i = 0; i < key_count; ++i) {
    const std::string key = reader.string("a metadata key");
    const std::string what = "metadata key " + json_quote(key);
    const auto type = reader.number<uint32_t>(what);
    if (!metadata_.emplace(key, reader.value(type, what, 0)).second) reader.fail(what + " is given twice");
  }

  std::vector<Placed> placed;
  placed.reserve(tensor_count);
  for (uint64_t i = 0; i < tensor_count; ++i) {
    try {
      placed.push_back(read_tensor_info(reader));
    } catch (const Error& error) {
      if (error.code != "UNSUPPORTED_TENSOR_TYPE") throw;
      throw Error(error.code, name_ + ": " + error.what());
    }
  }

  const int64_t alignment = integer("general.alignment").value_or(32);
  if (alignment < 1 || alignment > (1 << 20) || (alignment & (alignment - 1)) != 0) {
    reader.fail("general.alignment is " + std::to_string(alignment) + "; a power of two was expected");
  }
  const auto step = static_cast<uint64_t>(alignment);
  const uint64_t data_start = (reader.position() + step - 1) / step * step;
  const uint64_t data_size = data_start < bytes.size() ? bytes.size() - data_start : 0;
  for (Placed& entry : placed) {
    const std::string what = "tensor " + json_quote(entry.tensor.name);
    if (entry.offset % step != 0)
      reader.fail(what + ": its offset is not a multiple of " + std::to_string(alignment));
    if (entry.offset > data_size || entry.tensor.bytes > data_size - entry.offset) {
      reader.fail(what + ": its data end past the end of the file; the file is cut off or damaged");
    }
    entry.tensor.data = bytes.data() + std::min<uint64_t>(data_start + entry.offset, bytes.size());
  }
  check_overlap(reader, placed);
  for (Placed& entry : placed) {
    const std::string tensor_name = entry.tensor.name;
    if (!tensors_.emplace(tensor_name, std::move(entry.tensor)).second) {
      reader.fail("tensor " + json_quote(tensor_name) + " is given twice");
    }
  }
  rename_tensors();
}

void GgufFile::rename_tensors() {
  const Json* architecture = value("general.architecture");
  if (architecture == nullptr || !architecture->is_string()) {
    throw Error("GGUF_INVALID", name_ + ": general.architecture is missing");
  }
  if (architecture->string() != "llama") {
    throw Error("UNSUPPORTED_FAMILY",
                name_ + ": family " + architecture->string() + " is not supported; supported: llama");
  }
  std::map<std::string, StoredTensor, std::less<>> renamed;
  for (auto& [stored_name, tensor] : tensors_) {
    const std::string transformers_name = llama_tensor_name(stored_name);
    StoredTensor entry = std::move(tensor);
    entry.name = transformers_name;
    set_llama_row_order(*this, stored_name, entry);
    if (!renamed.emplace(transformers_name, std::move(entry)).second) {
      throw Error("GGUF_INVALID", name_ + ": two tensors stand for " + transformers_name);
    }
  }
  tensors_ = std::move(renamed);
}

const StoredTensor* GgufFile::find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::vector<std::string> GgufFile::names() const {
  std::vector<std::string> all;
  for (const auto& [name, tensor] : tensors_) all.push_back(name);
  return all;
}

const Json* GgufFile::value(std::string_view key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

std::optional<int64_t> GgufFile::integer(const std::string& key) const {
  const Json* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (!found->integer())
    throw Error("GGUF_INVALID", name_ + ": metadata key " + key + " is not a whole number");
  return found->integer();
}

std::optional<double> GgufFile::number(const std::string& key) const {
  const Json* found = value(key);
  if (found == nullptr) return std::nullopt;
  if (!found->is_number()) throw Error("GGUF_INVALID", name_ + ": metadata key " + key + " is not a number");
  return found->number();
}

std::string gguf_metadata_json(const GgufFile& file) {
  std::string out = "{";
  for (const auto& [key, value] : file.metadata()) {
    if (out.size() > 1) out += ',';
    out += json_quote(key) + ':' + value.text();
  }
  return out + '}';
}

}  // namespace adjudge
