/** What the aggregation of token losses needs beside its rule. */
import { AdjudgeError } from '../errors.js'

/**
 * Divisor of `aggregation: constant`.
 * @throws AdjudgeError `ARGUMENT_INVALID` where neither the record nor the call has one.
 */
export function constantOf(
  record: { aggregation: string; constant: number | null },
  maxTokens: number | undefined
): number | undefined {
  const constant = record.constant ?? maxTokens
  if (record.aggregation === 'constant' && !(constant !== undefined && constant > 0)) {
    throw new AdjudgeError(
      'ARGUMENT_INVALID',
      'maxTokens: aggregation "constant" divides by it; give maxTokens, or set "constant" in the record'
    )
  }
  return constant
}
