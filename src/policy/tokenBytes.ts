/** The bytes that each token stands for: what stop strings are matched against. */

/** GPT-2's printable stand-ins for the 256 bytes, as a map from character to byte. */
function byteOfCharacter(): Map<string, number> {
  const map = new Map<string, number>()
  let next = 256
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    map.set(String.fromCodePoint(printable ? byte : next++), byte)
  }
  return map
}

export interface TokenBytes {
  bytes: Uint8Array
  /** Token i is bytes[offsets[i] .. offsets[i + 1]). */
  offsets: Int32Array
}

/**
 * @param vocabulary token text by id; `undefined` where the id names no token
 * @param added ids of added tokens: their text is meant literally. Special ones have no bytes, as in decoded text.
 * @param byteLevel GPT-2's byte alphabet; otherwise SentencePiece's (`▁`, `<0x0A>`)
 */
export function buildTokenBytes(
  vocabulary: (string | undefined)[],
  added: Map<number, { special: boolean }>,
  byteLevel: boolean
): TokenBytes {
  const alphabet = byteOfCharacter()
  const encoder = new TextEncoder()
  const pieces = vocabulary.map((text, id): Uint8Array => {
    const entry = added.get(id)
    if (text === undefined || entry?.special) return new Uint8Array(0)
    if (entry) return encoder.encode(text)
    if (!byteLevel) {
      const byte = /^<0x([0-9A-F]{2})>$/.exec(text)
      return byte ? Uint8Array.of(parseInt(byte[1]!, 16)) : encoder.encode(text.replaceAll('▁', ' '))
    }
    const characters = [...text]
    const bytes = characters.map((character) => alphabet.get(character))
    return bytes.includes(undefined) ? encoder.encode(text) : Uint8Array.from(bytes as number[])
  })
  const offsets = new Int32Array(pieces.length + 1)
  pieces.forEach((piece, id) => (offsets[id + 1] = offsets[id]! + piece.length))
  const bytes = new Uint8Array(offsets.at(-1)!)
  pieces.forEach((piece, id) => bytes.set(piece, offsets[id]!))
  return { bytes, offsets }
}
