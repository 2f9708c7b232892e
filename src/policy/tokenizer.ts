/** Text to token ids and back, from a Transformers `tokenizer.json`. */
import * as library from '@huggingface/tokenizers'
import { AdjudgeError } from '../errors.js'
import { ChatTemplate, type SpecialTokens } from './chat.js'
import { buildTokenBytes, type TokenBytes } from './tokenBytes.js'
import type { Message } from './types.js'

/** What is used of the library: its own declarations name files without suffix, which NodeNext does not resolve. */
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] }
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string
  token_to_id(token: string): number | undefined
  get_vocab(withAdded: boolean): Map<string, number>
  get_added_tokens_decoder(): Map<number, { special: boolean }>
}
const { Tokenizer: LibraryTokenizer } = library as unknown as {
  Tokenizer: new (tokenizer: object, config: object) => LibraryTokenizer
}

/** What a tokenizer is made of: the parsed files of a Transformers folder, or the same made from a GGUF file. */
export interface TokenizerFiles {
  tokenizer: Record<string, unknown>
  config: Record<string, unknown>
  chatTemplate?: string
  /** Where it was found, for messages. */
  name: string
}

/** Encoding a batch hands the event loop back after this many milliseconds. */
const sliceMilliseconds = 2

export class Tokenizer {
  private readonly inner: LibraryTokenizer
  private readonly chat: ChatTemplate | undefined
  private bytesOfTokens: TokenBytes | undefined
  /** Number of token ids, the added ones included. */
  readonly size: number

  /** @throws AdjudgeError `TOKENIZER_INVALID` where the files do not make a tokenizer */
  constructor(readonly files: TokenizerFiles) {
    try {
      this.inner = new LibraryTokenizer(files.tokenizer, files.config)
      this.size = 1 + [...this.inner.get_vocab(true).values()].reduce((most, id) => Math.max(most, id), -1)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new AdjudgeError(
        'TOKENIZER_INVALID',
        `${files.name}: this is not a tokenizer that can be used (${reason}); expected a Transformers tokenizer.json`,
        { cause: error }
      )
    }
    if (files.chatTemplate !== undefined) {
      this.chat = new ChatTemplate(files.chatTemplate, files.name, specialTokensOf(files.config))
    }
  }

  /** Token ids of a text. Adds no special tokens; special tokens written in the text are recognised. */
  encode(text: string): Int32Array {
    if (text === '') return new Int32Array(0)
    return Int32Array.from(this.inner.encode(text, { add_special_tokens: false }).ids)
  }

  /** Encodes many texts in slices of 2 ms, so that the event loop stays free. */
  async encodeAll(texts: string[]): Promise<Int32Array[]> {
    const result: Int32Array[] = []
    let started = performance.now()
    for (const text of texts) {
      result.push(this.encode(text))
      if (performance.now() - started > sliceMilliseconds) {
        await new Promise<void>((resolve) => setImmediate(resolve))
        started = performance.now()
      }
    }
    return result
  }

  /** The text of token ids. Special tokens are left out unless `special` is true. */
  decode(tokens: ArrayLike<number>, options: { special?: boolean } = {}): string {
    if (tokens.length === 0) return ''
    return this.inner.decode(Array.from(tokens), {
      skip_special_tokens: !options.special,
      clean_up_tokenization_spaces: false
    })
  }

  /** The id of a token's exact text, or undefined. */
  tokenId(token: string): number | undefined {
    return this.inner.token_to_id(token)
  }

  /** True for added tokens marked special, such as `<|im_end|>`. */
  isSpecial(id: number): boolean {
    return this.inner.get_added_tokens_decoder().get(id)?.special ?? false
  }

  /** The bytes of every token, made at first use. Special tokens have none. */
  get tokenBytes(): TokenBytes {
    if (!this.bytesOfTokens) {
      const vocabulary: (string | undefined)[] = new Array<string | undefined>(this.size).fill(undefined)
      for (const [text, id] of this.inner.get_vocab(true)) vocabulary[id] = text
      const byteLevel = JSON.stringify(this.files.tokenizer['decoder'] ?? null).includes('"ByteLevel"')
      this.bytesOfTokens = buildTokenBytes(vocabulary, this.inner.get_added_tokens_decoder(), byteLevel)
    }
    return this.bytesOfTokens
  }

  /** The first `length` bytes of what the tokens stand for, as text. */
  decodeBytes(tokens: ArrayLike<number>, length: number): string {
    const { bytes, offsets } = this.tokenBytes
    const parts: Uint8Array[] = []
    for (const token of Array.from(tokens)) parts.push(bytes.subarray(offsets[token], offsets[token + 1]))
    return new TextDecoder().decode(Buffer.concat(parts).subarray(0, length))
  }

  get hasChatTemplate(): boolean {
    return this.chat !== undefined
  }

  /**
   * Chat messages as the model's text.
   * @throws AdjudgeError `TOKENIZER_INVALID` where the model has no chat template
   */
  renderChat(messages: Message[], generationPrompt = true): string {
    if (!this.chat) {
      throw new AdjudgeError(
        'TOKENIZER_INVALID',
        `${this.files.name}: the model has no chat template, so it takes no messages; give { text } or { tokens } instead`
      )
    }
    return this.chat.render(messages, generationPrompt)
  }
}

/** `bos_token`, `eos_token` … of tokenizer_config.json, where a token is a text or an object with `content`. */
function specialTokensOf(config: Record<string, unknown>): SpecialTokens {
  const tokens: SpecialTokens = {}
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith('_token')) continue
    if (typeof value === 'string') tokens[key] = value
    else if (typeof value === 'object' && value !== null && 'content' in value) tokens[key] = String(value.content)
  }
  return tokens
}
