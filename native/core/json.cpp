#include "core/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace adjudge {

Json Json::array(std::vector<Json> items) {
  Json json;
  json.kind_ = Kind::array;
  json.items_ = std::move(items);
  return json;
}

Json Json::object(std::vector<Member> members) {
  Json json;
  json.kind_ = Kind::object;
  json.members_ = std::move(members);
  return json;
}

const Json* Json::find(std::string_view key) const {
  for (const Member& member : members_) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

void Json::set(std::string key, Json value) {
  if (kind_ == Kind::null) kind_ = Kind::object;
  for (Member& member : members_) {
    if (member.first == key) {
      member.second = std::move(value);
      return;
    }
  }
  members_.emplace_back(std::move(key), std::move(value));
}

void Json::push(Json value) {
  if (kind_ == Kind::null) kind_ = Kind::array;
  items_.push_back(std::move(value));
}

bool is_valid_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    size_t length = 1;
    uint32_t code = lead;
    if (lead >= 0x80) {
      if (lead >= 0xc2 && lead <= 0xdf)
        length = 2, code = lead & 0x1fu;
      else if (lead >= 0xe0 && lead <= 0xef)
        length = 3, code = lead & 0x0fu;
      else if (lead >= 0xf0 && lead <= 0xf4)
        length = 4, code = lead & 0x07u;
      else
        return false;
      if (text.size() - i < length) return false;
      for (size_t k = 1; k < length; ++k) {
        const auto next = static_cast<unsigned char>(text[i + k]);
        if ((next & 0xc0u) != 0x80u) return false;
        code = (code << 6) | (next & 0x3fu);
      }
      if (length == 3 && (code < 0x800 || (code >= 0xd800 && code <= 0xdfff))) return false;
      if (length == 4 && (code < 0x10000 || code > 0x10ffff)) return false;
    }
    i += length;
  }
  return true;
}

namespace {

void append_utf8(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0 | (code >> 6));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0 | (code >> 12));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | (code >> 18));
    out += static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    out += static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    out += static_cast<char>(0x80 | (code & 0x3f));
  }
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view source, int maximum_depth)
      : text_(text), source_(source), maximum_depth_(maximum_depth) {}

  Json parse() {
    skip_space();
    Json value = parse_value(0);
    skip_space();
    if (position_ != text_.size()) fail("expected the end of the text after the value");
    return value;
  }

 private:
  [[noreturn]] void fail_at(size_t position, const std::string& what) const {
    throw Error("JSON_INVALID",
                std::string(source_) + ": invalid JSON at byte " + std::to_string(position) + ": " + what);
  }
  [[noreturn]] void fail(const std::string& what) const { fail_at(position_, what); }

  bool at_end() const { return position_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[position_]; }

  void skip_space() {
    while (!at_end() && std::memchr(" \t\n\r", text_[position_], 4) != nullptr) ++position_;
  }

  void expect(char wanted) {
    if (at_end()) fail(std::string("the text ends where '") + wanted + "' was expected");
    if (text_[position_] != wanted) fail(std::string("expected '") + wanted + "'");
    ++position_;
  }

  Json parse_value(int depth) {
    if (at_end()) fail("the text ends where a value was expected");
    switch (text_[position_]) {
      case '{':
        return parse_object(depth + 1);
      case '[':
        return parse_array(depth + 1);
      case '"':
        return Json(parse_string());
      case 't':
        return parse_word("true", Json(true));
      case 'f':
        return parse_word("false", Json(false));
      case 'n':
        return parse_word("null", Json());
      default:
        return parse_number();
    }
  }

  Json parse_word(std::string_view word, Json value) {
    if (text_.substr(position_, word.size()) != word) fail("expected a value");
    position_ += word.size();
    return value;
  }

  void check_depth(int depth) const {
    if (depth > maximum_depth_) fail("more than " + std::to_string(maximum_depth_) + " levels of nesting");
  }

  Json parse_array(int depth) {
    check_depth(depth);
    expect('[');
    std::vector<Json> items;
    skip_space();
    if (peek() == ']') {
      ++position_;
      return Json::array();
    }
    for (;;) {
      skip_space();
      items.push_back(parse_value(depth));
      skip_space();
      if (peek() == ',') {
        ++position_;
        continue;
      }
      expect(']');
      return Json::array(std::move(items));
    }
  }

  Json parse_object(int depth) {
    check_depth(depth);
    const size_t start = position_;
    expect('{');
    std::vector<Json::Member> members;
    skip_space();
    if (peek() == '}') {
      ++position_;
      return Json::object();
    }
    for (;;) {
      skip_space();
      if (peek() != '"') fail("expected a key in double quotes");
      std::string key = parse_string();
      skip_space();
      expect(':');
      skip_space();
      Json value = parse_value(depth);
      members.emplace_back(std::move(key), std::move(value));
      skip_space();
      if (peek() == ',') {
        ++position_;
        continue;
      }
      expect('}');
      break;
    }
    refuse_duplicates(members, start);
    return Json::object(std::move(members));
  }

  // Two readers may take different ones of two equal keys, so a file that has them means nothing certain.
  void refuse_duplicates(const std::vector<Json::Member>& members, size_t start) const {
    std::vector<std::string_view> keys;
    keys.reserve(members.size());
    for (const Json::Member& member : members) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twin = std::adjacent_find(keys.begin(), keys.end());
    if (twin != keys.end()) {
      fail_at(start, "the object that begins here has the key " + json_quote(*twin) + " twice");
    }
  }

  uint32_t parse_hex4() {
    if (text_.size() - position_ < 4) fail("expected four hexadecimal digits after \\u");
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[position_ + static_cast<size_t>(i)];
      uint32_t digit = 0;
      if (c >= '0' && c <= '9')
        digit = static_cast<uint32_t>(c - '0');
      else if (c >= 'a' && c <= 'f')
        digit = static_cast<uint32_t>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F')
        digit = static_cast<uint32_t>(c - 'A' + 10);
      else
        fail("expected four hexadecimal digits after \\u");
      code = code * 16 + digit;
    }
    position_ += 4;
    return code;
  }

  void parse_escape(std::string& out) {
    ++position_;  // the backslash
    if (at_end()) fail("the text ends inside a string");
    const char c = text_[position_++];
    switch (c) {
      case '"':
        out += '"';
        return;
      case '\\':
        out += '\\';
        return;
      case '/':
        out += '/';
        return;
      case 'b':
        out += '\b';
        return;
      case 'f':
        out += '\f';
        return;
      case 'n':
        out += '\n';
        return;
      case 'r':
        out += '\r';
        return;
      case 't':
        out += '\t';
        return;
      case 'u':
        break;
      default:
        --position_;
        fail("unknown escape in a string");
    }
    uint32_t code = parse_hex4();
    if (code >= 0xdc00 && code <= 0xdfff) fail("a low surrogate without its high one");
    if (code >= 0xd800 && code <= 0xdbff) {
      if (text_.substr(position_, 2) != "\\u") fail("a high surrogate without its low one");
      position_ += 2;
      const uint32_t low = parse_hex4();
      if (low < 0xdc00 || low > 0xdfff) fail("a high surrogate without its low one");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(out, code);
  }

  std::string parse_string() {
    const size_t start = position_;
    expect('"');
    std::string out;
    for (;;) {
      const size_t run = position_;
      while (!at_end() && text_[position_] != '"' && text_[position_] != '\\') {
        if (static_cast<unsigned char>(text_[position_]) < 0x20) fail("a control character inside a string");
        ++position_;
      }
      const std::string_view plain = text_.substr(run, position_ - run);
      if (!is_valid_utf8(plain)) fail_at(run, "a string that is not valid UTF-8");
      out += plain;
      if (at_end()) fail_at(start, "a string without an end");
      if (text_[position_] == '"') {
        ++position_;
        return out;
      }
      parse_escape(out);
    }
  }

  void skip_digits(const char* what) {
    if (!(peek() >= '0' && peek() <= '9')) fail(what);
    while (peek() >= '0' && peek() <= '9') ++position_;
  }

  Json parse_number() {
    const size_t start = position_;
    bool whole = true;
    if (peek() == '-') ++position_;
    if (peek() == '0') {
      ++position_;
      if (peek() >= '0' && peek() <= '9') fail("a number with a leading zero");
    } else {
      skip_digits("expected a value");
    }
    if (peek() == '.') {
      whole = false;
      ++position_;
      skip_digits("expected a digit after the decimal point");
    }
    if (peek() == 'e' || peek() == 'E') {
      whole = false;
      ++position_;
      if (peek() == '+' || peek() == '-') ++position_;
      skip_digits("expected a digit in the exponent");
    }
    const char* first = text_.data() + start;
    const char* last = text_.data() + position_;
    if (whole) {
      int64_t integer = 0;
      const auto result = std::from_chars(first, last, integer);
      if (result.ec == std::errc() && result.ptr == last) {
        if (integer == 0 && *first == '-') return Json(-0.0);
        return Json(integer);
      }
    }
    double number = 0;
    const auto result = std::from_chars(first, last, number);
    if (result.ec == std::errc::result_out_of_range) {
      // Too small is a zero, too large is refused: an infinity has no place in JSON.
      const std::string_view digits(first, static_cast<size_t>(last - first));
      if (digits.find("e-") == std::string_view::npos && digits.find("E-") == std::string_view::npos) {
        fail_at(start, "a number too large for a 64-bit float");
      }
      number = 0;
    }
    return Json(number);
  }

  std::string_view text_;
  std::string_view source_;
  int maximum_depth_;
  size_t position_ = 0;
};

std::string number_text(double value) {
  if (!std::isfinite(value)) return "null";
  char buffer[64];
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e15);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto result =
      std::to_chars(buffer, buffer + sizeof buffer, value, format);  // shortest that reads back equal
  std::string text(buffer, result.ptr);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace

Json parse_json(std::string_view text, std::string_view source, int maximum_depth) {
  return Parser(text, source, maximum_depth).parse();
}

std::string json_quote(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte < 0x20) {
          out += "\\u00";
          out += hex[byte >> 4];
          out += hex[byte & 15];
        } else {
          out += c;
        }
    }
  }
  out += '"';
  return out;
}

std::string Json::text(int indent) const {
  std::string out;
  write(out, indent, 0);
  return out;
}

void Json::write(std::string& out, int indent, int level) const {
  const auto new_line = [&](int depth) {
    if (indent > 0) {
      out += '\n';
      out.append(static_cast<size_t>(indent * depth), ' ');
    }
  };
  switch (kind_) {
    case Kind::null:
      out += "null";
      return;
    case Kind::boolean:
      out += boolean_ ? "true" : "false";
      return;
    case Kind::number:
      out += exact_ ? std::to_string(integer_) : number_text(number_);
      return;
    case Kind::string:
      out += json_quote(string_);
      return;
    case Kind::array: {
      out += '[';
      for (size_t i = 0; i < items_.size(); ++i) {
        if (i > 0) out += ',';
        new_line(level + 1);
        items_[i].write(out, indent, level + 1);
      }
      if (!items_.empty()) new_line(level);
      out += ']';
      return;
    }
    case Kind::object: {
      out += '{';
      for (size_t i = 0; i < members_.size(); ++i) {
        if (i > 0) out += ',';
        new_line(level + 1);
        out += json_quote(members_[i].first);
        out += indent > 0 ? ": " : ":";
        members_[i].second.write(out, indent, level + 1);
      }
      if (!members_.empty()) new_line(level);
      out += '}';
      return;
    }
  }
}

}  // namespace adjudge
