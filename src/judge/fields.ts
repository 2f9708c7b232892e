/** Whether a judge can give the values it will be asked for, before the first call. */
import type { CallOptions } from './options.js'
import { checkNativeFields } from './providers/native.js'
import { checkDecisionFields } from './providers/openai/decisions.js'
import type { Field } from './question.js'

/** Throws JUDGE_INVALID. `reasoning`: whether text goes before the values. */
export function checkFields(options: CallOptions, fields: Field[], reasoning: boolean): void {
  if (options.provider === 'native') checkNativeFields(fields, reasoning)
  if (options.api === 'decisions') checkDecisionFields(fields, reasoning)
}
