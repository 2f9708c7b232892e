/** The cheapest judge: an answer without a whole sentence is worth nothing; of any other it cannot say. */
import type { FunctionInput } from 'adjudge'

export default function ({ completion }: FunctionInput): number | null {
  return /[A-Z].*[.!?]\s*$/s.test(completion.text) ? null : 0
}
