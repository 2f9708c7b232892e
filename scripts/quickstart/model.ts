/** A tiny Llama with random weights, as a Transformers folder. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAddon } from '../../src/binding/load.js'
import { Random } from '../../src/tasks/replies/index.js'

export const shape = { hidden: 96, intermediate: 256, layers: 4, heads: 4, positions: 256 }

export const endToken = 0

export interface ModelText {
  tokenizer: string
  chatTemplate: string
  vocabulary: number
  endToken: string
}

/** Writes config, tokenizer and random weights (normal, 0.02; projections back into the stream 0.02 / √(2 layers)). */
export async function writeRandomModel(folder: string, text: ModelText, seed: number): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const { hidden, intermediate, layers, heads, positions } = shape
  const json = (name: string, value: unknown): void =>
    writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`)
  json('config.json', {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    vocab_size: text.vocabulary,
    hidden_size: hidden,
    intermediate_size: intermediate,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    max_position_embeddings: positions,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    tie_word_embeddings: true,
    eos_token_id: endToken,
    torch_dtype: 'float32'
  })
  writeFileSync(join(folder, 'tokenizer.json'), text.tokenizer)
  json('tokenizer_config.json', {
    tokenizer_class: 'PreTrainedTokenizerFast',
    eos_token: text.endToken,
    model_max_length: positions
  })
  writeFileSync(join(folder, 'chat_template.jinja'), text.chatTemplate)
  const random = new Random(seed)
  const normal = (rows: number, columns: number, deviation: number) => ({
    data: Float32Array.from({ length: rows * columns }, () => random.normal() * deviation),
    shape: [rows, columns]
  })
  const ones = () => ({ data: new Float32Array(hidden).fill(1), shape: [hidden] })
  const small = 0.02 / Math.sqrt(2 * layers)
  const tensors = [{ name: 'model.embed_tokens.weight', ...normal(text.vocabulary, hidden, 0.02) }]
  for (let layer = 0; layer < layers; layer++) {
    const name = `model.layers.${layer}`
    tensors.push(
      { name: `${name}.input_layernorm.weight`, ...ones() },
      { name: `${name}.self_attn.q_proj.weight`, ...normal(hidden, hidden, 0.02) },
      { name: `${name}.self_attn.k_proj.weight`, ...normal(hidden, hidden, 0.02) },
      { name: `${name}.self_attn.v_proj.weight`, ...normal(hidden, hidden, 0.02) },
      { name: `${name}.self_attn.o_proj.weight`, ...normal(hidden, hidden, small) },
      { name: `${name}.post_attention_layernorm.weight`, ...ones() },
      { name: `${name}.mlp.gate_proj.weight`, ...normal(intermediate, hidden, 0.02) },
      { name: `${name}.mlp.up_proj.weight`, ...normal(intermediate, hidden, 0.02) },
      { name: `${name}.mlp.down_proj.weight`, ...normal(hidden, intermediate, small) }
    )
  }
  tensors.push({ name: 'model.norm.weight', ...ones() })
  await loadAddon().writeSafetensors(join(folder, 'model.safetensors'), tensors)
}
