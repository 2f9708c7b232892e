/** Q-learning: targets, losses, replay. */
export { qLoss, type QLoss, type QLossArrays, type QLossInput, type QLossMetrics } from './loss.js'
export {
  duelingGradients,
  duelingQ,
  polyakAverage,
  type DuelingCentre,
  type DuelingGradients,
  type DuelingGradientsCall,
  type DuelingInput,
  type PolyakCall
} from './network.js'
export {
  ReplayBuffer,
  type ReplayField,
  type ReplayFields,
  type ReplayOptions,
  type ReplayPriorities,
  type ReplayRows,
  type ReplaySample,
  type ReplayState,
  type ReplayType
} from './replay.js'
export { qPresetNames, resolveQAlgorithm } from './resolve.js'
export { qTargets, type QTargetInput } from './targets.js'
export { qAlgorithmSchema, type QAlgorithm, type QAlgorithmOptions } from './types.js'
