/**
 * The order of an epoch: a seeded permutation that is computed, never stored, so that a position is (epoch, index) and a
 * data set of any size costs nothing. A four-round Feistel network on the smallest even number of bits that holds the
 * length; values past the length walk on through the cycle (Black and Rogaway, 2002).
 */

/** Where a run stands in its data: `index` counts items of this epoch already taken, in [0, length). */
export interface Position {
  epoch: number
  index: number
}

/** The position after `taken` items of a data set with `length` items. */
export function position(taken: number, length: number): Position {
  return { epoch: Math.floor(taken / length), index: taken % length }
}

/** A bijection of [0, length): which item stands at `index` of the epoch. Equal arguments give equal orders. */
export function permutation(length: number, seed: number, epoch: number): (index: number) => number {
  let half = 1
  while (4 ** half < length) half++
  const size = 2 ** half
  const keys = [0, 1, 2, 3].map((round) => mix(mix(mix(seed >>> 0) ^ epoch) ^ (round + 1)))
  const encrypt = (value: number): number => {
    let left = Math.floor(value / size)
    let right = value % size
    for (const key of keys) {
      const next = (left ^ mix(right ^ key)) & (size - 1)
      left = right
      right = next
    }
    return left * size + right
  }
  return (index) => {
    if (!Number.isInteger(index) || index < 0 || index >= length) {
      throw new RangeError(`index is ${index}; expected an integer in [0, ${length})`)
    }
    let value = encrypt(index)
    while (value >= length) value = encrypt(value)
    return value
  }
}

/** The finaliser of MurmurHash3: 32 bits in, 32 well-mixed bits out. */
function mix(value: number): number {
  let hash = (value + 0x9e3779b9) >>> 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
