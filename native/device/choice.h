// Which of the two computes a call.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace adjudge::device {

enum class Choice { automatic, cpu, cuda };

// auto, cpu or cuda. Throws Error ARGUMENT_INVALID for another word.
Choice choice_of(std::string_view word);

// What the call that runs on this thread asked for, between the boundary that reads it and the kernel that
// follows it; `automatic` outside of any scope.
Choice chosen();

class ChoiceScope {
 public:
  explicit ChoiceScope(Choice choice);
  ~ChoiceScope();
  ChoiceScope(const ChoiceScope&) = delete;
  ChoiceScope& operator=(const ChoiceScope&) = delete;

 private:
  Choice before_;
};

// Arrays of the host cross a bus of a few ten GB/s to the device and back, while the processor reads them at
// the speed of its memory. So `auto` needs a call of at least this many bytes, in and out together;
// ADJUDGE_CUDA_AUTO_BYTES is another number. Chosen without a GPU to measure it on.
inline constexpr std::size_t automatic_bytes = std::size_t{256} << 20;

// True where CUDA is to compute a call over this many bytes. Throws Error DEVICE_UNAVAILABLE where CUDA was
// asked for by name and cannot be used; `single` is false for arrays of 64-bit numbers, which the kernels do
// not take.
bool runs_on_cuda(Choice choice, std::size_t bytes, bool single);

// For a rule that has no CUDA kernel: throws Error DEVICE_UNSUPPORTED where CUDA was asked for by name.
void refuse_without_kernel(Choice choice, const std::string& call);

}  // namespace adjudge::device
