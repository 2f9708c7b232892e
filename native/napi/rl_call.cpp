#include "rl_call.h"

#include <cmath>
#include <memory>
#include <new>
#include <utility>

#include "../device/choice.h"
#include "../rl/finite.h"

namespace adjudge {

namespace {

const char* array_name(napi_typedarray_type type) {
  switch (type) {
    case napi_uint8_array:
      return "a Uint8Array";
    case napi_int32_array:
      return "an Int32Array";
    case napi_float32_array:
      return "a Float32Array";
    case napi_float64_array:
      return "a Float64Array";
    default:
      return "a typed array of another kind";
  }
}

std::size_t element_size(napi_typedarray_type type) {
  switch (type) {
    case napi_float64_array:
      return 8;
    case napi_float32_array:
    case napi_int32_array:
      return 4;
    default:
      return 1;
  }
}

bool is_float(napi_typedarray_type type) { return type == napi_float32_array || type == napi_float64_array; }

std::string text_of(double value) {
  if (std::isnan(value)) return "NaN";
  return value > 0 ? "Infinity" : "-Infinity";
}

}  // namespace

void Call::read(napi_env env, const napi_value* values, std::size_t count) {
  for (std::size_t at = 0; at < signature_->count() && at < count; ++at) {
    napi_valuetype type;
    napi_typeof(env, values[at], &type);
    if (type == napi_undefined || type == napi_null) continue;
    if (type == napi_number) {
      arguments_[at].kind = Kind::number;
      napi_get_value_double(env, values[at], &arguments_[at].number);
    } else if (type == napi_object) {
      read_array(env, values[at], at);
    } else {
      rl_arguments::invalid(signature_->name(at), "a typed array or a number");
    }
  }
  const std::size_t key = signature_->type();
  if (arguments_[key].kind != Kind::array || !is_float(arguments_[key].type)) {
    rl_arguments::invalid(signature_->name(key), "a Float32Array or Float64Array");
  }
  check_overlap();
}

void Call::read_array(napi_env env, napi_value value, std::size_t at) {
  Argument& argument = arguments_[at];
  if (napi_get_typedarray_info(env, value, &argument.type, &argument.length, &argument.data, nullptr,
                               nullptr) != napi_ok) {
    rl_arguments::invalid(signature_->name(at), "a typed array");
  }
  argument.kind = Kind::array;
  if (argument.length > 0) return;
  napi_value buffer;
  bool detached = false;
  napi_get_typedarray_info(env, value, nullptr, nullptr, nullptr, &buffer, nullptr);
  if (napi_is_detached_arraybuffer(env, buffer, &detached) == napi_ok && detached) {
    throw Error("BUFFER_DETACHED",
                std::string(signature_->name(at)) +
                    ": its buffer was transferred and has no memory any more; give another "
                    "array, or share the buffer instead");
  }
}

MemoryRange Call::range(std::size_t at) const {
  const Argument& argument = arguments_[at];
  const auto* begin = static_cast<const std::byte*>(argument.data);
  return {begin, begin + argument.length * element_size(argument.type), at >= signature_->inputs(),
          signature_->name(at)};
}

void Call::check_overlap() const {
  for (std::size_t at = signature_->inputs(); at < signature_->count(); ++at) {
    if (arguments_[at].kind != Kind::array || arguments_[at].length == 0) continue;
    const MemoryRange output = range(at);
    for (std::size_t other = 0; other < at; ++other) {
      if (arguments_[other].kind != Kind::array || !overlap(output, range(other))) continue;
      throw Error("BUFFER_OVERLAP", std::string(output.name) + " and " + signature_->name(other) +
                                        " share memory; give an output memory of its own");
    }
  }
}

std::vector<MemoryRange> Call::ranges() const {
  std::vector<MemoryRange> all;
  for (std::size_t at = 0; at < signature_->count(); ++at) {
    if (arguments_[at].kind == Kind::array && arguments_[at].length > 0) all.push_back(range(at));
  }
  return all;
}

double Call::number(std::size_t at, double otherwise) const {
  const Argument& argument = arguments_[at];
  if (argument.kind == Kind::absent) return otherwise;
  if (argument.kind != Kind::number) rl_arguments::invalid(signature_->name(at), "a number");
  return argument.number;
}

std::size_t Call::natural(std::size_t at, std::size_t otherwise, std::size_t least) const {
  const double value = number(at, static_cast<double>(otherwise));
  if (!(value >= static_cast<double>(least) && value <= 9007199254740991.0 && value == std::floor(value))) {
    rl_arguments::invalid(signature_->name(at), "a whole number, at least " + std::to_string(least));
  }
  return static_cast<std::size_t>(value);
}

void Call::refuse_array(std::size_t at, napi_typedarray_type type, std::size_t length) const {
  const Argument& argument = arguments_[at];
  const std::string name = signature_->name(at);
  if (argument.kind != Kind::array) rl_arguments::invalid(name, array_name(type));
  if (argument.type != type) {
    const std::string as = is_float(type) && is_float(argument.type)
                               ? std::string(", the element type of ") + signature_->name(signature_->type())
                               : "";
    rl_arguments::invalid(name, array_name(type) + as + ", and got " + array_name(argument.type));
  }
  rl_arguments::invalid(name,
                        std::to_string(length) + " elements and not " + std::to_string(argument.length));
}

std::size_t Call::offsets(std::size_t at, const std::int32_t*& values) const {
  const std::string name = signature_->name(at);
  const std::size_t count = arguments_[at].length;
  if (count == 0) rl_arguments::invalid(name, "an Int32Array that starts with 0");
  values = required<std::int32_t>(at, count);
  if (values[0] != 0) rl_arguments::invalid(name, "0 as its first element");
  for (std::size_t i = 1; i < count; ++i) {
    if (values[i] < values[i - 1])
      rl_arguments::invalid(name, "elements that never fall (index " + std::to_string(i) + ")");
  }
  return count - 1;
}

template <typename Float>
void Call::check_finite(std::size_t at, const std::uint8_t* mask, const char* cure, const char* code) const {
  if (!given(at)) return;
  check_cancelled();
  const std::size_t count = arguments_[at].length;
  const Float* values = data<Float>(at, count);
  const std::size_t index = rl::first_not_finite(values, mask, count);
  if (index < count) refuse_not_finite(at, index, values[index], cure, code);
}

void Call::refuse_not_finite(std::size_t at, std::size_t index, double value, const char* cure,
                             const char* code) const {
  throw Error(code, std::string(signature_->name(at)) + "[" + std::to_string(index) + "] is " +
                        text_of(value) + ", expected a finite number" + cure);
}

template void Call::check_finite<float>(std::size_t, const std::uint8_t*, const char*, const char*) const;
template void Call::check_finite<double>(std::size_t, const std::uint8_t*, const char*, const char*) const;

namespace {

struct Kernel {
  const Signature* signature;
  std::size_t numbers;
  device::Choice device;
  CallWork work;
};

using SharedKernel = std::shared_ptr<const Kernel>;

double* numbers_of(napi_env env, napi_value value, std::size_t count) {
  napi_typedarray_type type;
  std::size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_float64_array || length != count) {
    rl_arguments::invalid("numbers", "a Float64Array of " + std::to_string(count) + " elements");
  }
  return static_cast<double*>(data);
}

// Keeps the arrays alive with the promise, which the job holds.
void keep(napi_env env, napi_value promise, const napi_value* values, std::size_t count) {
  Napi::Array kept = Napi::Array::New(env, count);
  for (std::size_t i = 0; i < count; ++i) {
    kept.Set(static_cast<std::uint32_t>(i), Napi::Value(env, values[i]));
  }
  Napi::Object(env, promise).Set("buffers", kept);
}

napi_value start(napi_env env, const SharedKernel& kernel, const Call& call, double* numbers,
                 const napi_value* values, std::size_t count) {
  auto lease = std::make_shared<Lease>(call.ranges());
  auto job = Job::start(env, [kernel, call, numbers, lease = std::move(lease)](Job& running) mutable {
    {
      const std::shared_ptr<Lease> held = std::move(lease);
      const CancelScope scope(running.cancelled());
      check_cancelled();
      const device::ChoiceScope device(kernel->device);
      kernel->work(call, numbers);
    }
    return Job::Result();
  });
  const Napi::Value promise = Job::cancellable(env, job);
  keep(env, promise, values, count);
  return promise;
}

napi_value call_kernel(napi_env env, napi_callback_info info) {
  // The first two are `asynchronous` and `numbers`.
  std::array<napi_value, Signature::most + 2> values;
  std::size_t count = values.size();
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, values.data(), nullptr, &data);
  const SharedKernel& kernel = *static_cast<const SharedKernel*>(data);
  try {
    bool asynchronous = false;
    if (count < 2 || napi_get_value_bool(env, values[0], &asynchronous) != napi_ok) {
      rl_arguments::invalid("asynchronous", "true or false");
    }
    double* numbers = numbers_of(env, values[1], kernel->numbers);
    Call call(*kernel->signature);
    call.read(env, values.data() + 2, count - 2);
    if (asynchronous) return start(env, kernel, call, numbers, values.data() + 1, count - 1);
    if (any_lease()) check_free(call.ranges());
    const device::ChoiceScope device(kernel->device);
    kernel->work(call, numbers);
  } catch (const Error& error) {
    napi_throw_error(env, error.code.c_str(), error.what());
  } catch (const Napi::Error& error) {
    error.ThrowAsJavaScriptException();
  } catch (const std::bad_alloc&) {
    napi_throw_error(env, "MEMORY_EXCEEDED", "The system gave no more memory");
  } catch (const std::exception& error) {
    napi_throw_error(env, "INTERNAL", error.what());
  }
  return nullptr;
}

// Straight from Node-API: node-addon-api's wrapper costs as much as a small kernel.
Napi::Value function_of(napi_env env, SharedKernel kernel) {
  auto* owned = new SharedKernel(std::move(kernel));
  napi_value function;
  auto release = [](napi_env, void* held, void*) { delete static_cast<SharedKernel*>(held); };
  if (napi_create_function(env, "kernel", NAPI_AUTO_LENGTH, &call_kernel, owned, &function) != napi_ok) {
    delete owned;
    throw Error("INTERNAL", "The kernel's function cannot be made");
  }
  if (napi_add_finalizer(env, function, owned, release, nullptr, nullptr) != napi_ok) {
    delete owned;
    throw Error("INTERNAL", "The kernel's function cannot be made");
  }
  return {env, function};
}

// Of a rule; absent: auto.
device::Choice device_of(const Napi::Object& rule) {
  const Napi::Value value = rule.Get("device");
  if (rl_arguments::absent(value)) return device::Choice::automatic;
  return device::choice_of(value.IsString() ? value.As<Napi::String>().Utf8Value() : "something else");
}

}  // namespace

void export_rl_call(Napi::Env env, Napi::Object exports, const char* name, const Signature& signature,
                    std::size_t numbers, CallRule rule) {
  auto prepare = [signature = &signature, numbers, rule = std::move(rule)](const Napi::CallbackInfo& info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
      if (info.Length() < 1 || !info[0].IsObject()) rl_arguments::invalid("rule", "an object");
      const auto from = info[0].As<Napi::Object>();
      return function_of(info.Env(), std::make_shared<const Kernel>(
                                         Kernel{signature, numbers, device_of(from), rule(from)}));
    });
  };
  exports.Set(name, Napi::Function::New(env, prepare, name));
}

}  // namespace adjudge
