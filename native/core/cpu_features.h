// Which instruction set the kernels use on this processor.
#pragma once

namespace adjudge {

enum class InstructionSet { portable, avx2, avx512, avx512bf16 };

// True if the processor and the system support the set: avx2 means AVX2, FMA and F16C; avx512 means AVX-512
// F, BW, DQ and VL on top; avx512bf16 means AVX-512 BF16 on top.
bool supports(InstructionSet set);

// The widest supported set, or the one named by the environment variable ADJUDGE_ISA (avx512bf16,
// avx512, avx2, portable). Decided once per process. Throws Error CONFIG_INVALID if the variable holds
// another word or an unsupported set.
InstructionSet selected_instruction_set();

const char* name_of(InstructionSet set);

}  // namespace adjudge
