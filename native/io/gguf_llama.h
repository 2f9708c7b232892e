// GGUF's architecture `llama`: its tensor names and row order, turned into Transformers'.
#pragma once

#include <string>

#include "io/gguf.h"

namespace adjudge {

// `blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`. A name that has no counterpart stays as
// it is.
std::string llama_tensor_name(const std::string& stored_name);

// GGUF keeps the rows of q and k permuted for interleaved rotary pairs; Transformers rotates halves.
void set_llama_row_order(const GgufFile& file, const std::string& stored_name, StoredTensor& tensor);

}  // namespace adjudge
