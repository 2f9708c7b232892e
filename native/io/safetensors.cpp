#include "io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/half.h"
#include "core/json.h"
#include "io/shape.h"

namespace adjudge {
namespace {

constexpr uint64_t maximum_header = 100'000'000;  // the format's own limit

std::optional<StoredType> type_of(const std::string& dtype) {
  static const std::map<std::string, StoredType> types = {
      {"F32", StoredType::f32}, {"F16", StoredType::f16},     {"BF16", StoredType::bf16},
      {"F64", StoredType::f64}, {"I32", StoredType::i32},     {"I64", StoredType::i64},
      {"U8", StoredType::u8},   {"BOOL", StoredType::boolean}};
  const auto found = types.find(dtype);
  return found == types.end() ? std::nullopt : std::optional(found->second);
}

[[noreturn]] void invalid(const std::string& file, const std::string& what) {
  throw Error("SAFETENSORS_INVALID", file + ": " + what);
}

[[noreturn]] void invalid(const std::string& file, const std::string& tensor, const std::string& what) {
  invalid(file, "tensor " + json_quote(tensor) + ": " + what);
}

using Tensors = std::map<std::string, StoredTensor, std::less<>>;

const Json& member(const std::string& file, const std::string& tensor, const Json& entry, const char* key) {
  const Json* value = entry.find(key);
  if (value == nullptr) invalid(file, tensor, std::string(key) + " is missing");
  return *value;
}

StoredTensor parse_entry(const std::string& file, const std::string& name, const Json& entry,
                         std::span<const std::byte> data) {
  if (!entry.is_object()) invalid(file, name, "its entry is not an object");
  StoredTensor tensor;
  tensor.name = name;

  const Json& dtype = member(file, name, entry, "dtype");
  const std::optional<StoredType> type = type_of(dtype.string());
  if (!type) {
    invalid(
        file, name,
        "dtype " + dtype.text() + " is not supported; supported: F32, F16, BF16, F64, I32, I64, U8, BOOL");
  }
  tensor.type = *type;

  const Json& shape = member(file, name, entry, "shape");
  if (!shape.is_array()) invalid(file, name, "shape is not a list");
  for (const Json& dimension : shape.items()) {
    const std::optional<int64_t> size = dimension.integer();
    if (!size || *size < 0) invalid(file, name, "shape " + shape.text() + " has an entry that is not a size");
    tensor.shape.push_back(*size);
  }
  const std::optional<int64_t> elements = checked_element_count(tensor.shape);
  size_t expected = 0;
  if (!elements ||
      __builtin_mul_overflow(static_cast<size_t>(*elements), stored_bytes(tensor.type, 1), &expected)) {
    invalid(file, name, "shape " + shape.text() + " multiplies to more than 64 bits hold");
  }

  const Json& offsets = member(file, name, entry, "data_offsets");
  const bool pair = offsets.is_array() && offsets.items().size() == 2;
  const std::optional<int64_t> begin = pair ? offsets.items()[0].integer() : std::nullopt;
  const std::optional<int64_t> end = pair ? offsets.items()[1].integer() : std::nullopt;
  if (!begin || !end || *begin < 0 || *end < *begin) {
    invalid(file, name, "data_offsets " + offsets.text() + " is not a pair [begin, end] with begin <= end");
  }
  if (static_cast<uint64_t>(*end) > data.size()) {
    invalid(file, name,
            "its data end at byte " + std::to_string(*end) + " of a data section of " +
                std::to_string(data.size()) + " bytes; the file is cut off or damaged");
  }
  tensor.bytes = static_cast<size_t>(*end - *begin);
  if (tensor.bytes != expected) {
    invalid(file, name,
            "shape " + shape.text() + " of " + dtype.string() + " needs " + std::to_string(expected) +
                " bytes but data_offsets give " + std::to_string(tensor.bytes));
  }
  tensor.data = data.data() + *begin;
  return tensor;
}

// The data section must be covered without overlap and without holes.
void check_coverage(const std::string& file, const Tensors& tensors, std::span<const std::byte> data) {
  std::vector<const StoredTensor*> by_offset;
  by_offset.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) by_offset.push_back(&tensor);
  std::sort(by_offset.begin(), by_offset.end(), [](const StoredTensor* a, const StoredTensor* b) {
    return a->data != b->data ? a->data < b->data : a->bytes < b->bytes;
  });
  size_t covered = 0;
  const StoredTensor* previous = nullptr;
  for (const StoredTensor* tensor : by_offset) {
    const auto begin = static_cast<size_t>(tensor->data - data.data());
    if (begin < covered)
      invalid(file, tensor->name, "its data overlap those of tensor " + json_quote(previous->name));
    if (begin > covered) {
      invalid(file, tensor->name,
              "a hole of " + std::to_string(begin - covered) + " bytes lies before its data");
    }
    covered = begin + tensor->bytes;
    previous = tensor;
  }
  if (covered != data.size()) {
    invalid(file, "the data section has " + std::to_string(data.size()) + " bytes but its tensors cover " +
                      std::to_string(covered));
  }
}

Tensors parse_tensors(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() < 8)
    invalid(file, "has " + std::to_string(bytes.size()) + " bytes; not a safetensors file");
  uint64_t header_length = 0;
  std::memcpy(&header_length, bytes.data(), 8);
  if (header_length > maximum_header) {
    invalid(file, "states a header of " + std::to_string(header_length) +
                      " bytes, more than the format allows; not a safetensors file, or damaged");
  }
  if (header_length > bytes.size() - 8) {
    invalid(file, "states a header of " + std::to_string(header_length) + " bytes but has only " +
                      std::to_string(bytes.size() - 8) + " after the length; the file is cut off or damaged");
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + 8, header_length);
  if (header.empty() || header[0] != '{') invalid(file, "its header does not begin with '{'");

  Json entries;
  try {
    entries = parse_json(header, "header");
  } catch (const Error& error) {
    invalid(file, error.what());
  }
  const std::span<const std::byte> data = bytes.subspan(8 + header_length);
  Tensors tensors;
  for (const auto& [name, entry] : entries.members()) {
    if (name != "__metadata__") {
      tensors.emplace(name, parse_entry(file, name, entry, data));
      continue;
    }
    if (!entry.is_object()) invalid(file, "__metadata__ is not an object");
    for (const auto& [key, value] : entry.members()) {
      if (!value.is_string()) invalid(file, "__metadata__ key " + json_quote(key) + " is not a string");
    }
  }
  check_coverage(file, tensors, data);
  return tensors;
}

class SafetensorsSource : public TensorSource {
 public:
  SafetensorsSource(std::vector<MappedFile> files, Tensors tensors)
      : files_(std::move(files)), tensors_(std::move(tensors)) {}

  const StoredTensor* find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const auto& [name, tensor] : tensors_) all.push_back(name);
    return all;
  }

 private:
  std::vector<MappedFile> files_;
  Tensors tensors_;
};

std::unique_ptr<TensorSource> open_file(const std::string& path) {
  std::vector<MappedFile> files;
  files.emplace_back(path);
  Tensors tensors = parse_tensors(files[0].bytes(), path);
  return std::make_unique<SafetensorsSource>(std::move(files), std::move(tensors));
}

std::unique_ptr<TensorSource> open_shards(const std::string& folder, const std::string& index_path) {
  Json index;
  {
    const MappedFile file(index_path);
    index = parse_json(file.text(), index_path);
  }
  const Json* weight_map = index.find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object()) invalid(index_path, "has no object weight_map");

  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map->members()) {
    // A shard lies beside its index; a path in its name could reach any file of the machine.
    const std::string& name = shard.string();
    if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\") != std::string::npos ||
        name.find('\0') != std::string::npos) {
      invalid(index_path, tensor,
              "its shard " + shard.text() + " is not the name of a file in the same folder");
    }
    shards.insert(name);
  }

  std::vector<MappedFile> files;
  Tensors all;
  std::map<std::string, std::string, std::less<>> shard_of;
  for (const std::string& shard : shards) {
    const std::string path = join_path(folder, shard);
    files.emplace_back(path);
    for (auto& [name, tensor] : parse_tensors(files.back().bytes(), path)) {
      if (!all.emplace(name, tensor).second) invalid(path, name, "also lies in " + shard_of[name]);
      shard_of[name] = shard;
    }
  }
  for (const auto& [tensor, shard] : weight_map->members()) {
    const auto found = shard_of.find(tensor);
    if (found == shard_of.end() || found->second != shard.string()) {
      invalid(index_path, tensor, "is said to lie in " + shard.string() + " but does not");
    }
  }
  return std::make_unique<SafetensorsSource>(std::move(files), std::move(all));
}

void append(AtomicFile& file, const TensorToWrite& tensor, int64_t elements) {
  constexpr int64_t chunk = 1 << 16;
  std::vector<float> values(static_cast<size_t>(std::min(chunk, elements)));
  std::vector<uint16_t> halves(tensor.type == StoredType::f32 ? 0 : values.size());
  for (int64_t first = 0; first < elements; first += chunk) {
    const auto count = static_cast<size_t>(std::min(chunk, elements - first));
    tensor.read(first, static_cast<int64_t>(count), values.data());
    if (tensor.type == StoredType::f32) {
      file.write(values.data(), count * sizeof(float));
      continue;
    }
    for (size_t i = 0; i < count; ++i) {
      halves[i] = tensor.type == StoredType::bf16 ? f32_to_bf16(values[i]) : f32_to_f16(values[i]);
    }
    file.write(halves.data(), count * sizeof(uint16_t));
  }
}

}  // namespace

std::unique_ptr<TensorSource> parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  return std::make_unique<SafetensorsSource>(std::vector<MappedFile>{}, parse_tensors(bytes, name));
}

std::unique_ptr<TensorSource> open_safetensors(const std::string& path) {
  if (!is_folder(path)) return open_file(path);
  const std::string single = join_path(path, "model.safetensors");
  if (file_exists(single)) return open_file(single);
  const std::string index = join_path(path, "model.safetensors.index.json");
  if (file_exists(index)) return open_shards(path, index);
  throw Error("FILE_NOT_FOUND", path + ": holds neither model.safetensors nor model.safetensors.index.json");
}

TensorToWrite plain_tensor(const std::string& name, const std::vector<int64_t>& shape, const float* data) {
  return {name, StoredType::f32, shape,
          [data](int64_t first, int64_t count, float* out) { std::copy_n(data + first, count, out); }};
}

void write_safetensors(const std::string& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const auto refuse = [&](const TensorToWrite& tensor, const std::string& what) {
    throw Error("TENSOR_INVALID", path + ": tensor " + json_quote(tensor.name) + ": " + what);
  };
  Json strings = Json::object();
  for (const auto& [key, value] : metadata) strings.set(key, value);
  strings.set("format", "pt");
  std::vector<Json::Member> entries;
  entries.emplace_back("__metadata__", std::move(strings));

  std::vector<int64_t> counts;
  std::set<std::string> seen = {"__metadata__"};
  size_t offset = 0;
  for (const TensorToWrite& tensor : tensors) {
    const std::optional<int64_t> elements = checked_element_count(tensor.shape);
    if (!elements) refuse(tensor, "its shape is not a shape, or multiplies to more than 64 bits hold");
    if (!seen.insert(tensor.name).second) refuse(tensor, "this name is given twice or reserved");
    if (tensor.type != StoredType::f32 && tensor.type != StoredType::bf16 && tensor.type != StoredType::f16) {
      refuse(tensor, "only F32, BF16 and F16 are written");
    }
    const size_t end = offset + stored_bytes(tensor.type, *elements);
    Json shape = Json::array();
    for (const int64_t dimension : tensor.shape) shape.push(dimension);
    entries.emplace_back(
        tensor.name,
        Json::object(
            {{"dtype", type_name(tensor.type)},
             {"shape", std::move(shape)},
             {"data_offsets", Json::array({static_cast<int64_t>(offset), static_cast<int64_t>(end)})}}));
    counts.push_back(*elements);
    offset = end;
  }
  std::string header = Json::object(std::move(entries)).text();
  header.resize((header.size() + 7) / 8 * 8, ' ');  // so that the data are aligned

  AtomicFile file(path);
  file.reserve(8 + header.size() + offset);
  const uint64_t length = header.size();
  file.write(&length, 8);
  file.write(header);
  for (size_t i = 0; i < tensors.size(); ++i) append(file, tensors[i], counts[i]);
  file.commit();
}

}  // namespace adjudge
