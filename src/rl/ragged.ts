/** Rows of different lengths as one packed array, and back. */

/** [rows + 1]: where each row begins, and where the last ends. */
export function offsetsOf(lengths: ArrayLike<number>): Int32Array {
  const offsets = new Int32Array(lengths.length + 1)
  for (let row = 0; row < lengths.length; row++) offsets[row + 1] = offsets[row]! + lengths[row]!
  return offsets
}

export function joinRows(rows: readonly ArrayLike<number>[], offsets: Int32Array): Float32Array {
  const flat = new Float32Array(offsets.at(-1)!)
  rows.forEach((row, index) => flat.set(row, offsets[index]))
  return flat
}

export function splitRows(flat: ArrayLike<number>, offsets: Int32Array): Float32Array[] {
  const typed = Float32Array.from(flat)
  return Array.from(offsets.subarray(1), (end, row) => typed.slice(offsets[row], end))
}
