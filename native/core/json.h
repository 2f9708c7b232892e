// A small strict JSON reader and writer (RFC 8259): UTF-8 checked, depth limited, duplicate keys refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace adjudge {

class Json {
 public:
  enum class Kind { null, boolean, number, string, array, object };
  using Member = std::pair<std::string, Json>;

  Json() = default;
  Json(std::nullptr_t) {}
  Json(bool value) : kind_(Kind::boolean), boolean_(value) {}
  Json(double value) : kind_(Kind::number), number_(value) {}
  Json(int64_t value)
      : kind_(Kind::number), number_(static_cast<double>(value)), integer_(value), exact_(true) {}
  Json(int value) : Json(static_cast<int64_t>(value)) {}
  Json(std::string value) : kind_(Kind::string), string_(std::move(value)) {}
  Json(std::string_view value) : Json(std::string(value)) {}
  Json(const char* value) : Json(std::string(value)) {}
  static Json array(std::vector<Json> items = {});
  static Json object(std::vector<Member> members = {});

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::null; }
  bool is_boolean() const { return kind_ == Kind::boolean; }
  bool is_number() const { return kind_ == Kind::number; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_array() const { return kind_ == Kind::array; }
  bool is_object() const { return kind_ == Kind::object; }

  // The value. Call only after the kind has been checked; another kind gives false, 0 or an empty value.
  bool boolean() const { return boolean_; }
  double number() const { return number_; }
  const std::string& string() const { return string_; }
  const std::vector<Json>& items() const { return items_; }
  const std::vector<Member>& members() const { return members_; }  // in the order of the text
  // The exact value of an integer literal that fits int64; empty for 1.0, 1e3 and larger numbers.
  std::optional<int64_t> integer() const { return exact_ ? std::optional<int64_t>(integer_) : std::nullopt; }

  // The member of an object, or null pointer where absent (also when this is no object). Linear search.
  const Json* find(std::string_view key) const;
  void set(std::string key, Json value);  // adds or replaces a member; makes a null value an object
  void push(Json value);                  // appends; makes a null value an array

  // Compact with indent 0, else one member per line. Non-finite numbers are written as null.
  std::string text(int indent = 0) const;

 private:
  void write(std::string& out, int indent, int level) const;

  Kind kind_ = Kind::null;
  bool boolean_ = false;
  double number_ = 0;
  int64_t integer_ = 0;
  bool exact_ = false;
  std::string string_;
  std::vector<Json> items_;
  std::vector<Member> members_;
};

// Parses one JSON text. source names the file in messages. Throws JSON_INVALID with source and byte offset.
Json parse_json(std::string_view text, std::string_view source, int maximum_depth = 64);

// A string with quotes and escapes.
std::string json_quote(std::string_view text);

// Whether the bytes are well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_valid_utf8(std::string_view text);

}  // namespace adjudge
