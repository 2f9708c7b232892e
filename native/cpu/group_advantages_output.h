// Where the advantages of a stretch of completions are put together before they go to memory by whole lines,
// so that they can go past the caches wherever groups begin and end.
#pragma once
#include "native/cpu/group_advantages_block.h"

namespace adjudge {
namespace {

class LineOutput {
 public:
  LineOutput(float* advantages, int64_t begin, bool stream)
      : advantages_(advantages), stream_(stream), begin_(begin), end_(begin) {}
  LineOutput(const LineOutput&) = delete;
  LineOutput& operator=(const LineOutput&) = delete;
  ~LineOutput() { flush(); }

  // For the completions of a batch, which begin where the last ended; beyond its end as many as the longest
  // group has may be overwritten.
  float* place() {
    if (begin_ == end_) {
      const auto address = reinterpret_cast<uintptr_t>(advantages_ + begin_);
      line_ = begin_ - static_cast<int64_t>(address / sizeof(float) % line_floats);
    }
    return buffer_ + (end_ - line_);
  }

  void advance(int64_t completions) {
    end_ += completions;
    const float* from = buffer_;
    for (; line_ + line_floats <= end_; line_ += line_floats, from += line_floats) {
      if (begin_ > line_)
        copy(from + (begin_ - line_), begin_, line_ + line_floats);
      else
        write_line(from);
      begin_ = line_ + line_floats;
    }
    if (from != buffer_) std::memcpy(buffer_, from, line_floats * sizeof(float));
  }

  // Completions that are written elsewhere.
  void skip(int64_t completions) {
    if (begin_ != end_) flush();
    begin_ = end_ += completions;
  }

 private:
  static constexpr int64_t line_floats = 16;

  void write_line(const float* from) {
    for (int64_t i = 0; i < line_floats; i += single_lanes) {
      const Singles part = loaded<Singles>(from + i);
      if (stream_)
        stream_vector(advantages_ + line_ + i, part);
      else
        put(advantages_ + line_ + i, part);
    }
  }

  void flush() { copy(buffer_ + (begin_ - line_), begin_, end_); }

  void copy(const float* from, int64_t begin, int64_t end) {
    // An empty batch may have no array at all.
    if (begin == end) return;
    std::memcpy(advantages_ + begin, from, static_cast<size_t>(end - begin) * sizeof(float));
  }

  float* advantages_;
  bool stream_;
  int64_t begin_;  // what is still in the buffer
  int64_t end_;
  int64_t line_ = 0;  // the completion of the buffer's first element
  alignas(64) float buffer_[batch_completions + block_members + 2 * line_floats];
};

}  // namespace
}  // namespace adjudge
