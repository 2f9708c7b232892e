#include "io/tensor_source.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/half.h"

namespace adjudge {

TensorSource::~TensorSource() = default;

namespace {

constexpr int64_t block_elements = 32;  // of q8_0 and q4_1
constexpr size_t q8_0_bytes = 34;       // f16 scale, 32 int8
constexpr size_t q4_1_bytes = 20;       // f16 scale, f16 minimum, 32 nibbles

template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T, typename Convert>
void convert(const std::byte* from, int64_t count, float* out, Convert to_float) {
  for (int64_t i = 0; i < count; ++i) out[i] = to_float(load<T>(from + static_cast<size_t>(i) * sizeof(T)));
}

// Both compute as llama.cpp's reference does, so the bits agree with it.
void decode_q8_0(const std::byte* block, float* out) {
  const float scale = f16_to_f32(load<uint16_t>(block));
  for (int64_t i = 0; i < block_elements; ++i) {
    out[i] = static_cast<float>(load<int8_t>(block + 2 + i)) * scale;
  }
}

void decode_q4_1(const std::byte* block, float* out) {
  const float scale = f16_to_f32(load<uint16_t>(block));
  const float minimum = f16_to_f32(load<uint16_t>(block + 2));
  for (int64_t i = 0; i < block_elements / 2; ++i) {  // low nibble: element i, high nibble: element i + 16
    const auto pair = load<uint8_t>(block + 4 + i);
    const float low = static_cast<float>(pair & 15) * scale;
    const float high = static_cast<float>(pair >> 4) * scale;
    out[i] = low + minimum;
    out[i + block_elements / 2] = high + minimum;
  }
}

template <typename Decode>
void read_blocks(const std::byte* data, size_t block_bytes, int64_t first, int64_t count, float* out,
                 Decode decode) {
  while (count > 0) {
    const int64_t block = first / block_elements;
    const int64_t skipped = first % block_elements;
    const std::byte* from = data + static_cast<size_t>(block) * block_bytes;
    if (skipped == 0 && count >= block_elements) {
      decode(from, out);
      first += block_elements, count -= block_elements, out += block_elements;
      continue;
    }
    float values[block_elements];
    decode(from, values);
    const int64_t taken = std::min(block_elements - skipped, count);
    std::copy_n(values + skipped, taken, out);
    first += taken, count -= taken, out += taken;
  }
}

void read_range(const StoredTensor& tensor, int64_t first, int64_t count, float* out) {
  const auto at = [&](size_t size) { return tensor.data + static_cast<size_t>(first) * size; };
  const auto as_float = [](auto value) { return static_cast<float>(value); };
  if (count == 0) return;
  switch (tensor.type) {
    case StoredType::f32:
      std::memcpy(out, at(4), static_cast<size_t>(count) * 4);
      return;
    case StoredType::f16:
      convert<uint16_t>(at(2), count, out, f16_to_f32);
      return;
    case StoredType::bf16:
      convert<uint16_t>(at(2), count, out, bf16_to_f32);
      return;
    case StoredType::f64:
      convert<double>(at(8), count, out, as_float);
      return;
    case StoredType::i32:
      convert<int32_t>(at(4), count, out, as_float);
      return;
    case StoredType::i64:
      convert<int64_t>(at(8), count, out, as_float);
      return;
    case StoredType::u8:
      convert<uint8_t>(at(1), count, out, as_float);
      return;
    case StoredType::boolean:
      convert<uint8_t>(at(1), count, out, [](uint8_t value) { return value != 0 ? 1.0f : 0.0f; });
      return;
    case StoredType::q8_0:
      read_blocks(tensor.data, q8_0_bytes, first, count, out, decode_q8_0);
      return;
    case StoredType::q4_1:
      read_blocks(tensor.data, q4_1_bytes, first, count, out, decode_q4_1);
      return;
  }
}

}  // namespace

const char* type_name(StoredType type) {
  switch (type) {
    case StoredType::f32:
      return "F32";
    case StoredType::f16:
      return "F16";
    case StoredType::bf16:
      return "BF16";
    case StoredType::f64:
      return "F64";
    case StoredType::i32:
      return "I32";
    case StoredType::i64:
      return "I64";
    case StoredType::u8:
      return "U8";
    case StoredType::boolean:
      return "BOOL";
    case StoredType::q8_0:
      return "Q8_0";
    case StoredType::q4_1:
      return "Q4_1";
  }
  return "unknown";
}

size_t stored_bytes(StoredType type, int64_t elements) {
  size_t unit = 1;
  int64_t per_unit = 1;
  switch (type) {
    case StoredType::f32:
    case StoredType::i32:
      unit = 4;
      break;
    case StoredType::f16:
    case StoredType::bf16:
      unit = 2;
      break;
    case StoredType::f64:
    case StoredType::i64:
      unit = 8;
      break;
    case StoredType::u8:
    case StoredType::boolean:
      unit = 1;
      break;
    case StoredType::q8_0:
      unit = q8_0_bytes, per_unit = block_elements;
      break;
    case StoredType::q4_1:
      unit = q4_1_bytes, per_unit = block_elements;
      break;
  }
  if (elements < 0 || elements % per_unit != 0) {
    throw Error("TENSOR_INVALID", std::to_string(elements) + " elements are not a whole number of " +
                                      type_name(type) + " blocks of " + std::to_string(per_unit));
  }
  size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<size_t>(elements / per_unit), unit, &bytes) ||
      bytes > static_cast<size_t>(std::numeric_limits<int64_t>::max())) {
    throw Error("TENSOR_INVALID",
                std::to_string(elements) + " elements of " + type_name(type) + " overflow 64 bits");
  }
  return bytes;
}

int64_t element_count(const StoredTensor& tensor) {
  int64_t count = 1;
  for (const int64_t dimension : tensor.shape) count *= dimension;
  return count;
}

int64_t row_count(const StoredTensor& tensor) { return tensor.shape.empty() ? 1 : tensor.shape[0]; }

int64_t row_width(const StoredTensor& tensor) {
  int64_t width = 1;
  for (size_t i = 1; i < tensor.shape.size(); ++i) width *= tensor.shape[i];
  return width;
}

void read_rows(const StoredTensor& tensor, int64_t first_row, int64_t rows, float* out) {
  const int64_t available = row_count(tensor);
  if (first_row < 0 || rows < 0 || first_row > available || rows > available - first_row) {
    throw Error("TENSOR_INVALID", tensor.name + ": rows " + std::to_string(first_row) + " to " +
                                      std::to_string(first_row + rows) + " asked of a tensor that has " +
                                      std::to_string(available));
  }
  const int64_t width = row_width(tensor);
  if (tensor.row_order.empty()) {
    read_range(tensor, first_row * width, rows * width, out);
    return;
  }
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t stored = tensor.row_order[static_cast<size_t>(first_row + row)];
    read_range(tensor, stored * width, width, out + row * width);
  }
}

void read_all(const StoredTensor& tensor, float* out) { read_rows(tensor, 0, row_count(tensor), out); }

}  // namespace adjudge
