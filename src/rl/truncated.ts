/** Completions that were cut at the length limit. */
import { checkLength, covered } from './kernels.js'

/**
 * A mask under which truncated completions teach nothing, while their rewards still count in the baseline and spread of
 * their group (TRL's `mask_truncated_completions`).
 * @param cuSeqlens [completions + 1]: boundaries of the completions' tokens.
 * @param truncated [completions]: 1 = cut at the limit, without an end token.
 * @param mask [tokens]: what counts so far. Default: all.
 * @returns [tokens], a new array.
 * @throws AdjudgeError `ARGUMENT_INVALID` for lengths that disagree.
 */
export function maskTruncated(cuSeqlens: Int32Array, truncated: ArrayLike<number>, mask?: Uint8Array): Uint8Array {
  const tokens = covered('cuSeqlens', cuSeqlens)
  checkLength('truncated', truncated, cuSeqlens.length - 1, 'one per completion')
  checkLength('mask', mask, tokens, 'one per token')
  const kept = mask ? mask.slice() : new Uint8Array(tokens).fill(1)
  for (let completion = 0; completion < truncated.length; completion++) {
    if (truncated[completion]) kept.fill(0, cuSeqlens[completion], cuSeqlens[completion + 1])
  }
  return kept
}
