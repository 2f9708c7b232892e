// The safetensors format: https://github.com/huggingface/safetensors, one file or a folder of shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/tensor_source.h"

namespace adjudge {

// Opens a .safetensors file, or a Transformers folder that holds model.safetensors or
// model.safetensors.index.json with its shards. Every header is checked in full before this returns; tensor
// data stay in the mapped file until they are read. Throws SAFETENSORS_INVALID (naming file and tensor),
// JSON_INVALID, and MappedFile's errors.
std::unique_ptr<TensorSource> open_safetensors(const std::string& path);

// The same checks on bytes in memory, which must outlive the source. name stands for the file in messages.
std::unique_ptr<TensorSource> parse_safetensors(std::span<const std::byte> bytes, const std::string& name);

struct TensorToWrite {
  std::string name;
  StoredType type = StoredType::f32;  // f32, bf16 or f16
  std::vector<int64_t> shape;         // row-major
  // Fills out with elements [first, first + count) of the flattened tensor.
  std::function<void(int64_t first, int64_t count, float* out)> read;
};

// A float32 tensor that lies in memory, which must outlive the writing.
TensorToWrite plain_tensor(const std::string& name, const std::vector<int64_t>& shape, const float* data);

// Writes a file in the order given, in small pieces (the tensors are never held whole), atomically. `format:
// pt` is added to the metadata, without which some versions of Transformers refuse the file. Throws
// TENSOR_INVALID (type, shape, a name given twice) and AtomicFile's errors.
void write_safetensors(const std::string& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace adjudge
