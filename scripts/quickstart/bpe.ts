/** Trains a byte-level BPE and writes it as a Transformers tokenizer.json. */

/** GPT-2's pre-tokenizer, which `ByteLevel` with `use_regex` stands for. */
const pieces = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

/** GPT-2's table: every byte as a printable character. */
function byteCharacters(): string[] {
  const characters: string[] = []
  let next = 256
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    characters.push(String.fromCharCode(printable ? byte : next++))
  }
  return characters
}

export interface Bpe {
  specials: string[]
  vocabulary: string[]
  merges: [string, string][]
}

/** Merges the most frequent pair until the vocabulary has `size` entries; ties go to the pair that sorts first. */
export function trainBpe(texts: string[], specials: string[], size: number): Bpe {
  const characters = byteCharacters()
  const encoder = new TextEncoder()
  const counts = new Map<string, number>()
  for (const text of texts) for (const [piece] of text.matchAll(pieces)) counts.set(piece, (counts.get(piece) ?? 0) + 1)
  const words = [...counts].map(([piece, count]) => ({
    symbols: [...encoder.encode(piece)].map((byte) => characters[byte]!),
    count
  }))
  const vocabulary = [...specials, ...characters]
  const merges: [string, string][] = []
  while (vocabulary.length < size) {
    const pairs = new Map<string, number>()
    for (const { symbols, count } of words) {
      for (let index = 0; index + 1 < symbols.length; index++) {
        const key = `${symbols[index]} ${symbols[index + 1]}`
        pairs.set(key, (pairs.get(key) ?? 0) + count)
      }
    }
    const [best] = [...pairs].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    if (!best) break
    const [left, right] = best[0].split(' ') as [string, string]
    merges.push([left, right])
    vocabulary.push(left + right)
    for (const word of words) {
      for (let index = 0; index + 1 < word.symbols.length; index++) {
        if (word.symbols[index] === left && word.symbols[index + 1] === right)
          word.symbols.splice(index, 2, left + right)
      }
    }
  }
  return { specials, vocabulary: [...new Set(vocabulary)], merges }
}

/** The text of tokenizer.json. */
export function tokenizerJson({ specials, vocabulary, merges }: Bpe): string {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges
    }
  })
}
