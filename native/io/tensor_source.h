// Tensors as a file stores them, and their conversion to float32: the one face that the model loads weights
// through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace adjudge {

// q8_0 and q4_1 are GGUF's blocks of 32 elements; the others are plain little-endian values.
enum class StoredType { f32, f16, bf16, f64, i32, i64, u8, boolean, q8_0, q4_1 };

struct StoredTensor {
  std::string name;
  StoredType type = StoredType::f32;
  std::vector<int64_t> shape;       // row-major, in Transformers' order: a linear layer is [out, in]
  const std::byte* data = nullptr;  // into the mapped file; any alignment
  size_t bytes = 0;
  // Where the file keeps rows in another order: row i of the tensor is stored row row_order[i]. Empty: as
  // stored.
  std::vector<int32_t> row_order;
};

const char* type_name(StoredType type);
// Bytes that hold `elements` values. Throws TENSOR_INVALID on overflow or a part of a block.
size_t stored_bytes(StoredType type, int64_t elements);

// Product of the shape (1 for a scalar). The readers have checked it against overflow and against `bytes`.
int64_t element_count(const StoredTensor& tensor);
// Rows are slices along shape[0]: row_count = shape[0], row_width = product of the other dimensions.
// So a vector of n values is n rows of width 1, and a scalar is one row of width 1.
int64_t row_count(const StoredTensor& tensor);
int64_t row_width(const StoredTensor& tensor);
// Writes rows [first_row, first_row + rows) as float32, rows * row_width values, in Transformers' row order.
// Throws TENSOR_INVALID where the range lies outside the tensor.
void read_rows(const StoredTensor& tensor, int64_t first_row, int64_t rows, float* out);
// The whole tensor.
void read_all(const StoredTensor& tensor, float* out);

// A file or folder of named tensors. Pointers stay valid as long as the source lives.
struct TensorSource {
  virtual ~TensorSource();
  virtual const StoredTensor* find(std::string_view name) const = 0;  // null pointer where absent
  virtual std::vector<std::string> names() const = 0;                 // sorted
};

}  // namespace adjudge
