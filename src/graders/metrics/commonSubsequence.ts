/** Length of the longest common subsequence. */

/**
 * Bit-parallel (Hyyrö 2004), 32 columns to a word: |a| · |b| / 32 steps, memory linear in |a| + |b|. What both begin and
 * end with is left out first. Marks are compared by `===` (characters, words).
 */
export function commonSubsequence(a: readonly string[], b: readonly string[]): number {
  let from = 0
  while (from < a.length && from < b.length && a[from] === b[from]) from++
  let [endA, endB] = [a.length, b.length]
  while (endA > from && endB > from && a[endA - 1] === b[endB - 1]) {
    endA--
    endB--
  }
  const same = from + a.length - endA
  const [columns, rows] = [a.slice(from, endA), b.slice(from, endB)]
  return same + (columns.length < rows.length ? between(rows, columns) : between(columns, rows))
}

function between(columns: readonly string[], rows: readonly string[]): number {
  const words = Math.ceil(columns.length / 32)
  const places = placesOf(columns, words)
  const scratch = new Int32Array(words)
  // A zero bit marks a column where the subsequence grew.
  const state = new Int32Array(words).fill(-1)
  for (const mark of rows) {
    const place = places.get(mark)
    if (!place) continue
    if (place instanceof Int32Array) addRow(state, place)
    else {
      for (const column of place) scratch[column >>> 5] |= 1 << (column & 31)
      addRow(state, scratch)
      for (const column of place) scratch[column >>> 5] = 0
    }
  }
  let length = 0
  for (let column = 0; column < columns.length; column++) length += (state[column >>> 5] >>> (column & 31)) & 1 ? 0 : 1
  return length
}

/** One mark of the rows against all columns; a function of its own, which compiles to a loop of integers (2 ns a word). */
function addRow(state: Int32Array, bits: Int32Array): void {
  let carry = 0
  for (let word = 0; word < state.length; word++) {
    const value = state[word]
    const both = value & bits[word]
    // A sum beyond 32 bits is carried by its bits (`both` is a part of `value`).
    const sum = (value + both + carry) | 0
    carry = (both | (value & ~sum)) >>> 31
    state[word] = sum | (value & ~both)
  }
}

/**
 * Where each mark stands: as bits where it stands in so many columns that writing them anew for each row would cost as
 * much as the row itself, else as a list. At most 32 marks are that frequent, so the bits take no more than the columns.
 */
function placesOf(columns: readonly string[], words: number): Map<string, number[] | Int32Array> {
  const places = new Map<string, number[] | Int32Array>()
  columns.forEach((mark, column) => {
    const list = places.get(mark)
    if (list) (list as number[]).push(column)
    else places.set(mark, [column])
  })
  for (const [mark, list] of places) {
    if (list.length < words) continue
    const bits = new Int32Array(words)
    for (const column of list) bits[column >>> 5] |= 1 << (column & 31)
    places.set(mark, bits)
  }
  return places
}
