/** The policy: load, generate, log-probs, gradients, step, save. */
export { Policy, type Gradients, type GroupBackward, type LogProbOptions, type SequenceBackward } from './policy.js'
export type { Rewards } from './objective.js'
export type { LoadOptions, LoraSettings, SaveOptions, StepOptions } from './options.js'
export { Tokenizer, type TokenizerFiles } from './tokenizer.js'
export type * from './types.js'
