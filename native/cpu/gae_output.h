// Where GAE's results go, from the last token to the first: at once, or put together in lines that are then
// written past the caches, whatever the alignment of the rows.
#pragma once
#include <cstring>

#include "native/cpu/gae_block.h"

namespace adjudge {
namespace {

template <bool stream>
class DirectOutput {
 public:
  DirectOutput(float* advantages, float* returns) : advantages_(advantages), returns_(returns) {}

  template <typename Block>
  inline __attribute__((always_inline)) void block(int64_t token, const Block& advantages,
                                                   const Block& returns) {
    if constexpr (stream) {
      stream_vector(advantages_ + token, stored(advantages));
      stream_vector(returns_ + token, stored(returns));
    } else {
      put(advantages_ + token, stored(advantages));
      put(returns_ + token, stored(returns));
    }
  }

  // Of them the last `count` lanes.
  template <typename Block>
  inline __attribute__((always_inline)) void last(int64_t token, int64_t count, const Block& advantages,
                                                  const Block& returns) {
    put_last(advantages_ + token, count, advantages);
    put_last(returns_ + token, count, returns);
  }

  inline __attribute__((always_inline)) void one(int64_t token, float advantage, float back) {
    advantages_[token] = advantage;
    returns_[token] = back;
  }

 private:
  float* advantages_;
  float* returns_;
};

// One array. Tokens come in descending order without gaps.
class DescendingLines {
 public:
  DescendingLines(float* to, int64_t end) : to_(to), low_(end), high_(end), base_(line_below(end) - held) {}
  DescendingLines(const DescendingLines&) = delete;
  DescendingLines& operator=(const DescendingLines&) = delete;
  ~DescendingLines() {
    flush();
    copy(low_, high_);
  }

  inline __attribute__((always_inline)) float* place(int64_t token) {
    if (__builtin_expect(token < base_, 0)) flush();
    low_ = token;
    return buffer_ + (token - base_);
  }

 private:
  static constexpr int64_t line = 16;
  static constexpr int64_t held = 1024;

  int64_t line_below(int64_t token) const {
    return token - static_cast<int64_t>(reinterpret_cast<uintptr_t>(to_ + token) / sizeof(float) % line);
  }

  void copy(int64_t begin, int64_t end) {
    if (end > begin)
      std::memcpy(to_ + begin, buffer_ + (begin - base_), static_cast<size_t>(end - begin) * sizeof(float));
  }

  // Every whole line goes to memory; what is left of the lowest one moves to the buffer's end.
  __attribute__((noinline)) void flush() {
    const int64_t lowest = line_below(low_ + line - 1), highest = line_below(high_);
    if (highest >= lowest) {
      copy(highest, high_);
      for (int64_t token = highest - line; token >= lowest; token -= line) {
        for (int64_t i = 0; i < line; i += single_lanes) {
          stream_vector(to_ + token + i, loaded<Singles>(buffer_ + (token - base_) + i));
        }
      }
      high_ = lowest;
    }
    const int64_t base = line_below(high_) - held;
    std::memmove(buffer_ + (low_ - base), buffer_ + (low_ - base_),
                 static_cast<size_t>(high_ - low_) * sizeof(float));
    base_ = base;
  }

  float* to_;
  int64_t low_;   // the lowest token so far
  int64_t high_;  // from here on all is in memory
  int64_t base_;  // the token of the buffer's first element
  alignas(64) float buffer_[held + line];
};

class LinesOutput {
 public:
  LinesOutput(float* advantages, float* returns, int64_t end)
      : advantages_(advantages, end), returns_(returns, end) {}

  template <typename Block>
  inline __attribute__((always_inline)) void block(int64_t token, const Block& advantages,
                                                   const Block& returns) {
    put(advantages_.place(token), stored(advantages));
    put(returns_.place(token), stored(returns));
  }

  template <typename Block>
  inline __attribute__((always_inline)) void last(int64_t token, int64_t count, const Block& advantages,
                                                  const Block& returns) {
    put_last(advantages_.place(token), count, advantages);
    put_last(returns_.place(token), count, returns);
  }

  inline __attribute__((always_inline)) void one(int64_t token, float advantage, float back) {
    *advantages_.place(token) = advantage;
    *returns_.place(token) = back;
  }

 private:
  DescendingLines advantages_, returns_;
};

}  // namespace
}  // namespace adjudge
