/** A tiny random Llama with a byte-level tokenizer, written as a Transformers folder. */
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 259,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 4,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  rope_parameters: { rope_type: 'default', rope_theta: 10000 },
  bos_token_id: 257,
  eos_token_id: 258,
  dtype: 'float32'
}

/** Numbers in [-1, 1) from a fixed linear congruential generator. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
}

export function safetensors(tensors: Record<string, { shape: number[]; data: Float32Array }>): Buffer {
  const header: Record<string, unknown> = {}
  let offset = 0
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + data.byteLength] }
    offset += data.byteLength
  }
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const parts = Object.values(tensors).map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength))
  return Buffer.concat([length, text, ...parts])
}

function tensorsOf(seed: number): Record<string, { shape: number[]; data: Float32Array }> {
  const random = generator(seed)
  const tensors: Record<string, { shape: number[]; data: Float32Array }> = {}
  const add = (name: string, shape: number[], scale: number, offset = 0) => {
    const size = shape.reduce((product, length) => product * length, 1)
    tensors[name] = { shape, data: Float32Array.from({ length: size }, () => offset + scale * random()) }
  }
  const {
    hidden_size: hidden,
    intermediate_size: inner,
    head_dim,
    num_attention_heads,
    num_key_value_heads
  } = tinyConfig
  add('model.embed_tokens.weight', [tinyConfig.vocab_size, hidden], 0.8)
  for (let layer = 0; layer < tinyConfig.num_hidden_layers; layer++) {
    const prefix = `model.layers.${layer}`
    add(`${prefix}.input_layernorm.weight`, [hidden], 0.2, 1)
    add(`${prefix}.self_attn.q_proj.weight`, [num_attention_heads * head_dim, hidden], 0.5)
    add(`${prefix}.self_attn.k_proj.weight`, [num_key_value_heads * head_dim, hidden], 0.5)
    add(`${prefix}.self_attn.v_proj.weight`, [num_key_value_heads * head_dim, hidden], 0.5)
    add(`${prefix}.self_attn.o_proj.weight`, [hidden, num_attention_heads * head_dim], 0.5)
    add(`${prefix}.post_attention_layernorm.weight`, [hidden], 0.2, 1)
    add(`${prefix}.mlp.gate_proj.weight`, [inner, hidden], 0.5)
    add(`${prefix}.mlp.up_proj.weight`, [inner, hidden], 0.5)
    add(`${prefix}.mlp.down_proj.weight`, [hidden, inner], 0.5)
  }
  add('model.norm.weight', [hidden], 0.2, 1)
  return tensors
}

/** Byte-level BPE without merges: a token per byte, and three special ones. */
function tokenizerJson(): object {
  const characters: string[] = []
  let next = 256
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    characters.push(String.fromCodePoint(printable ? byte : next++))
  }
  const special = ['<|pad|>', '<|start|>', '<|end|>']
  return {
    version: '1.0',
    added_tokens: special.map((content, index) => ({
      id: 256 + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries([...characters, ...special].map((token, id) => [token, id])),
      merges: []
    }
  }
}

const chatTemplate =
  "{% for message in messages %}{{ '<|start|>' + message['role'] + ':' + message['content'] + '<|end|>' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant:' }}{% endif %}"

export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), 'adjudge-policy-'))
}

/** Writes the model and returns its folder. */
export function writeTinyModel(folder = join(temporaryFolder(), 'tiny'), seed = 7): string {
  mkdirSync(folder, { recursive: true })
  const write = (name: string, value: object | string | Buffer) =>
    writeFileSync(
      join(folder, name),
      typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value)
    )
  write('config.json', tinyConfig)
  write('model.safetensors', safetensors(tensorsOf(seed)))
  write('tokenizer.json', tokenizerJson())
  write('tokenizer_config.json', { bos_token: '<|start|>', eos_token: '<|end|>' })
  write('chat_template.jinja', chatTemplate)
  return folder
}
