/** Reinforcement learning as data and arithmetic: algorithms, advantages, losses. Needs no model. */
export { advantages, type AdvantageInput, type AdvantageMetrics, type Advantages } from './advantages.js'
export { exactObjective, exactTokenGradients, type ExactInput, type ExactObjective } from './exact.js'
export { klDivergence, type KlDivergence, type KlDivergenceInput } from './kl.js'
export { AdaptiveKl, klReward, type AdaptiveKlOptions, type KlReward, type KlRewardInput } from './klReward.js'
export { klRows, type KlRows, type KlRowsInput } from './klRows.js'
export {
  logitsGradient,
  logitsStatistics,
  type LogitsGradientInput,
  type LogitsInput,
  type LogitsStatistics,
  type LogitsStatisticsInput
} from './logits.js'
export { gammaWeights, type GammaInput, type GammaSpec } from './gammaWeights.js'
export {
  importanceWeights,
  mismatchMetrics,
  rejectionMask,
  type ImportanceInput,
  type ImportanceWeights,
  type Rejection,
  type RejectionInput,
  type RolloutInput
} from './offPolicy.js'
export type { CriterionMetrics, ImportanceMetrics, MismatchMetrics } from './offPolicyMetrics.js'
export {
  offPolicyPresetNames,
  offPolicySchema,
  resolveOffPolicy,
  type OffPolicyOptions,
  type OffPolicySpec
} from './offPolicySpec.js'
export {
  needsEntropies,
  policyLoss,
  type PolicyLoss,
  type PolicyLossInput,
  type PolicyLossMetrics
} from './policyLoss.js'
export {
  gae,
  retrace,
  upgo,
  vtrace,
  type GaeOptions,
  type OffPolicyInput,
  type RetraceInput,
  type RetraceOptions,
  type ReturnsCall,
  type SequenceInput,
  type UpgoOptions,
  type VtraceOptions
} from './returns.js'
export { repetitionPenalty, type RepetitionCall, type RepetitionInput, type RepetitionOptions } from './repetition.js'
export {
  clipRewards,
  completionLengths,
  lengthPenalty,
  overlongPenalty,
  relativeLengthReward,
  shapeRewards,
  truncationPenalty,
  type LengthOptions,
  type OverlongOptions,
  type RewardShaping,
  type RewardShapingInput
} from './rewardShaping.js'
export { RewardStatistics, type RewardStatisticsState } from './rewardStatistics.js'
export { maskTruncated } from './truncated.js'
export { preferenceLoss, type PreferenceBatch, type PreferenceLoss, type PreferenceMetrics } from './preference.js'
export { preferenceLabels, type PreferenceLabels } from './preferenceLabels.js'
export {
  preferencePairs,
  type GroupScores,
  type PreferencePairs,
  type PreferencePairsOptions
} from './preferencePairs.js'
export { preferencePresetNames, resolvePreference } from './preferenceResolve.js'
export { preferenceSchema, type Preference, type PreferenceOptions } from './preferenceTypes.js'
export { presetNames, resolveAlgorithm } from './resolve.js'
export { algorithmSchema, type Algorithm, type AlgorithmOptions, type FloatArray } from './types.js'
export type { AsyncOptions, Device, DeviceOptions, PlainCall, Prepared, RlCall } from './prepared.js'
export * from './q/index.js'
export {
  resolveValue,
  valueLoss,
  valueSchema,
  type ValueLoss,
  type ValueLossInput,
  type ValueOptions,
  type ValueSpec
} from './valueLoss.js'
