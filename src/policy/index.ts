/** The policy: load, generate, log-probs, gradients, step, save. */
export { Policy, type PolicyCallOptions, type Logits } from './policy.js'
export type { GroupBackward, Reference, SequenceBackward } from './backward.js'
export type { Gradients, MaskedTokens } from './gradients.js'
export type { LogProbOptions } from './score.js'
export type { Rewards } from './objective.js'
export type { LoadOptions, LoraSettings, SaveOptions, StepOptions } from './options.js'
export { Tokenizer, type TokenizerFiles } from './tokenizer.js'
export type * from './types.js'
