// What calls of a model take for its output heads, read from JavaScript.
#pragma once

#include <string>
#include <vector>

#include "../model/model.h"
#include "arguments.h"

namespace adjudge {

struct HeadRequest {
  std::string name;
  bool log_sum_exps = false;
};

// [{ name, logSumExps }]; undefined means none.
std::vector<HeadRequest> read_head_requests(const Napi::Value& value);

struct OwnedHeadGradients {
  std::string name;
  std::vector<float> values, log_sum_exps;  // empty: none

  HeadGradients view() const {
    return {name, values.empty() ? nullptr : values.data(),
            log_sum_exps.empty() ? nullptr : log_sum_exps.data()};
  }
};

// [{ name, values, logSumExps }], each array with one number per completion token; undefined means none.
std::vector<OwnedHeadGradients> read_head_gradients(const Napi::Value& value, size_t tokens);

AdamwOptions read_adamw(const Napi::Value& value);

}  // namespace adjudge
