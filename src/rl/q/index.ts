/** Q-learning: targets, losses, replay. */
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
