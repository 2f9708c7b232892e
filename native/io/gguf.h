// The GGUF format, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "io/tensor_source.h"

namespace adjudge {

// A GGUF file whose tensors appear under Transformers' names, in its shapes and row order:
// `model.layers.0.self_attn.q_proj.weight`, `lm_head.weight` … The file's `rope_freqs.weight` keeps its name.
class GgufFile : public TensorSource {
 public:
  // Bytes in memory must outlive the object; name stands for the file in messages.
  GgufFile(std::span<const std::byte> bytes, std::string name);
  // Throws GGUF_INVALID (naming key or tensor), UNSUPPORTED_TENSOR_TYPE, UNSUPPORTED_FAMILY, MappedFile's
  // errors.
  explicit GgufFile(const std::string& path);

  const StoredTensor* find(std::string_view name) const override;
  std::vector<std::string> names() const override;

  const std::string& name() const { return name_; }
  // All keys of the header. 32-bit floats appear as the shortest decimal that reads back as the same float.
  const std::map<std::string, Json, std::less<>>& metadata() const { return metadata_; }
  const Json* value(std::string_view key) const;  // null pointer where absent
  // A number of the header. Empty where absent; throws GGUF_INVALID where it is something else.
  std::optional<int64_t> integer(const std::string& key) const;
  std::optional<double> number(const std::string& key) const;

 private:
  void parse(std::span<const std::byte> bytes);
  void rename_tensors();

  std::string name_;
  std::optional<MappedFile> file_;
  std::map<std::string, Json, std::less<>> metadata_;
  std::map<std::string, StoredTensor, std::less<>> tensors_;
};

std::unique_ptr<GgufFile> open_gguf(const std::string& path);

// All metadata as one JSON object, arrays (vocabulary, merges) included.
std::string gguf_metadata_json(const GgufFile& file);

// A config.json as Transformers would write it for the same model.
// Throws GGUF_INVALID where a needed key is missing or does not fit the tensors, UNSUPPORTED_FAMILY for
// variants of the architecture that are not the plain one (experts, partial rotary embedding, sliding
// window).
std::string gguf_config_json(const GgufFile& file);

}  // namespace adjudge
