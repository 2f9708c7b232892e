/** A small pseudo-random stream in [0, 1): the same numbers on every run. */
export function stream(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296
    return state / 4294967296
  }
}
