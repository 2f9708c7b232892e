/** A `tokenizer.json` made from the metadata of a GGUF file, so that one tokenizer serves both formats. */
import { AdjudgeError } from '../errors.js'
import type { TokenizerFiles } from './tokenizer.js'

type Json = Record<string, unknown>

const gpt2Split = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
const bytesOnly = { ...gpt2Split, use_regex: false }
const digitsThenGpt2 = {
  type: 'Sequence',
  pretokenizers: [{ type: 'Digits', individual_digits: true }, gpt2Split]
}

function regexThenBytes(numbers: string): Json {
  const pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" +
    numbers +
    '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
  return {
    type: 'Sequence',
    pretokenizers: [{ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }, bytesOnly]
  }
}

/** `tokenizer.ggml.pre` to the splitting rule before BPE, as llama.cpp names them. */
const splittingRules: Record<string, { rule: Json; ignoreMerges?: boolean }> = {
  'gpt-2': { rule: gpt2Split },
  smollm: { rule: digitsThenGpt2 },
  starcoder: { rule: digitsThenGpt2 },
  'llama-bpe': { rule: regexThenBytes('\\p{N}{1,3}'), ignoreMerges: true },
  llama3: { rule: regexThenBytes('\\p{N}{1,3}'), ignoreMerges: true },
  qwen2: { rule: regexThenBytes('\\p{N}') }
}

/** llama.cpp's token types. */
const control = 3
const userDefined = 4

/**
 * @param metadata all keys of the GGUF header
 * @throws AdjudgeError `TOKENIZER_INVALID` for a kind of tokenizer or splitting rule that is not known
 */
export function tokenizerFromGguf(metadata: Json, name: string): TokenizerFiles {
  const fail = (message: string): never => {
    throw new AdjudgeError('TOKENIZER_INVALID', `${name}: ${message}`)
  }
  const texts = (key: string): string[] => {
    const value = metadata[key]
    return Array.isArray(value) ? (value as string[]) : fail(`the key ${key} is missing; expected a list`)
  }
  const model = metadata['tokenizer.ggml.model']
  if (model !== 'gpt2') {
    fail(`tokenizer.ggml.model is ${JSON.stringify(model)}; supported is "gpt2" (byte-level BPE)`)
  }
  const named = metadata['tokenizer.ggml.pre'] ?? 'gpt-2'
  const pre = typeof named === 'string' ? named : JSON.stringify(named)
  const splitting = Object.hasOwn(splittingRules, pre) ? splittingRules[pre]! : undefined
  if (!splitting) {
    return fail(`tokenizer.ggml.pre is "${pre}"; supported: ${Object.keys(splittingRules).join(', ')}`)
  }
  const tokens = texts('tokenizer.ggml.tokens')
  const types = metadata['tokenizer.ggml.token_type'] as number[] | undefined
  const tokenOf = (key: string): string | undefined => {
    const id = metadata[`tokenizer.ggml.${key}_token_id`]
    return typeof id === 'number' ? tokens[id] : undefined
  }
  const added = tokens.flatMap((content, id) => {
    const type = types?.[id]
    if (type !== control && type !== userDefined) return []
    return [
      { id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: type === control }
    ]
  })
  const config: Json = {}
  for (const [key, from] of [
    ['bos_token', 'bos'],
    ['eos_token', 'eos'],
    ['unk_token', 'unknown'],
    ['pad_token', 'padding']
  ] as const) {
    const token = tokenOf(from)
    if (token !== undefined) config[key] = token
  }
  const chatTemplate = metadata['tokenizer.chat_template']
  return {
    tokenizer: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: splitting.rule,
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: '',
        end_of_word_suffix: '',
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: splitting.ignoreMerges ?? false,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: texts('tokenizer.ggml.merges').map((merge) => merge.split(' '))
      }
    },
    config,
    ...(typeof chatTemplate === 'string' ? { chatTemplate } : {}),
    name
  }
}
