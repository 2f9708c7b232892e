// A call of an RL function. Its rule is read once, by the preparing call; its arguments come by position:
// typed arrays and numbers that go in, then typed arrays that are written. Reading them is all that needs
// JavaScript, so the work itself runs at once on the caller's thread or as a job on another.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "../core/cancel.h"
#include "lease.h"
#include "rl_arguments.h"

namespace adjudge {

// The names of a function's arguments in the order in which JavaScript passes them.
class Signature {
 public:
  static constexpr std::size_t most = 40;

  // `type`: the argument whose element type all floating arrays of a call have.
  consteval Signature(const char* type, std::initializer_list<const char*> inputs,
                      std::initializer_list<const char*> outputs)
      : inputs_(inputs.size()) {
    for (const char* name : inputs) names_[count_++] = name;
    for (const char* name : outputs) names_[count_++] = name;
    type_ = at(type);
  }

  // The position of an argument, while compiling.
  consteval std::size_t at(const char* name) const {
    for (std::size_t i = 0; i < count_; ++i) {
      const char* left = names_[i];
      const char* right = name;
      while (*left != 0 && *left == *right) ++left, ++right;
      if (*left == *right) return i;
    }
    throw "no argument of this name";
  }

  const char* name(std::size_t position) const { return names_[position]; }
  std::size_t inputs() const { return inputs_; }
  std::size_t count() const { return count_; }
  std::size_t type() const { return type_; }

 private:
  std::array<const char*, most> names_{};
  std::size_t inputs_ = 0;
  std::size_t count_ = 0;
  std::size_t type_ = 0;
};

class Call {
 public:
  explicit Call(const Signature& signature) : signature_(&signature) {}

  // Throws ARGUMENT_INVALID, BUFFER_DETACHED, or BUFFER_OVERLAP where memory that is written is used twice.
  void read(napi_env env, const napi_value* values, std::size_t count);
  // The memory of the call's arrays.
  std::vector<MemoryRange> ranges() const;

  bool is_double() const { return arguments_[signature_->type()].type == napi_float64_array; }
  bool given(std::size_t at) const { return arguments_[at].kind != Kind::absent; }
  std::size_t length(std::size_t at) const { return arguments_[at].length; }
  double number(std::size_t at, double otherwise) const;
  bool flag(std::size_t at) const { return number(at, 0) != 0; }
  // A whole number of at least `least`.
  std::size_t natural(std::size_t at, std::size_t otherwise, std::size_t least) const;

  // An optional array: null where absent; otherwise of this length and type.
  template <typename Element>
  const Element* data(std::size_t at, std::size_t length) const {
    return static_cast<const Element*>(array<Element>(at, length));
  }
  template <typename Element>
  const Element* required(std::size_t at, std::size_t length) const {
    if (!given(at)) rl_arguments::invalid(signature_->name(at), "a typed array");
    return data<Element>(at, length);
  }
  // Arrays that are written.
  template <typename Element>
  Element* output(std::size_t at, std::size_t length) const {
    return static_cast<Element*>(array<Element>(at, length));
  }
  template <typename Element>
  Element* written(std::size_t at, std::size_t length) const {
    if (!given(at)) rl_arguments::invalid(signature_->name(at), "a typed array to write to");
    return output<Element>(at, length);
  }

  // Boundaries of ranges: 0 first, never falling. Returns the number of ranges.
  std::size_t offsets(std::size_t at, const std::int32_t*& values) const;

  // Throws `code`, naming the index, for a counted value that is NaN or infinite; ends cancelled
  // work.
  template <typename Float>
  void check_finite(std::size_t at, const std::uint8_t* mask = nullptr, const char* cure = "",
                    const char* code = "ARGUMENT_INVALID") const;
  // Its error.
  [[noreturn]] void refuse_not_finite(std::size_t at, std::size_t index, double value, const char* cure = "",
                                      const char* code = "ARGUMENT_INVALID") const;

 private:
  enum class Kind : std::uint8_t { absent, number, array };
  struct Argument {
    Kind kind = Kind::absent;
    napi_typedarray_type type = napi_uint8_array;
    void* data = nullptr;
    std::size_t length = 0;
    double number = 0;
  };

  void read_array(napi_env env, napi_value value, std::size_t at);
  void check_overlap() const;
  MemoryRange range(std::size_t at) const;
  [[noreturn]] void refuse_array(std::size_t at, napi_typedarray_type type, std::size_t length) const;

  template <typename Element>
  void* array(std::size_t at, std::size_t length) const {
    const Argument& argument = arguments_[at];
    if (argument.kind == Kind::absent) return nullptr;
    const auto type = rl_arguments::array_type<Element>();
    if (argument.kind != Kind::array || argument.type != type || argument.length != length) {
      refuse_array(at, type, length);
    }
    return argument.data;
  }

  const Signature* signature_;
  std::array<Argument, Signature::most> arguments_;
};

// Runs without JavaScript; `numbers` is where it writes its scalar results.
using CallWork = std::function<void(const Call&, double* numbers)>;
// Reads a rule.
using CallRule = std::function<CallWork(const Napi::Object& rule)>;

// Exports name(rule), which reads the rule and, as its key `device`, what it is to be computed on
// (device::chosen() while the work runs), and returns kernel(asynchronous, numbers, ...arguments):
// `numbers` is a Float64Array of `numbers` elements; an asynchronous call returns a promise with cancel().
void export_rl_call(Napi::Env env, Napi::Object exports, const char* name, const Signature& signature,
                    std::size_t numbers, CallRule rule);

// Work for either element type: `body` is a generic lambda (call, numbers, Float{}).
template <typename Body>
CallWork either_type(Body body) {
  return [body](const Call& call, double* numbers) {
    if (call.is_double()) {
      body(call, numbers, double{});
    } else {
      body(call, numbers, float{});
    }
  };
}

// Writes scalar results in the order in which they are given.
inline void write_numbers(double* numbers, std::initializer_list<double> values) {
  for (const double value : values) *numbers++ = value;
}

// A result that a kernel holds in a vector, written to where the call wants it.
template <typename Values, typename Element>
void copy_into(const Values& values, Element* target) {
  for (const auto& value : values) *target++ = static_cast<Element>(value);
}

}  // namespace adjudge
