/** The public API of adjudge. */
export * from './policy/index.js'
export * from './judge/index.js'
export * from './graders/index.js'
export * from './data/index.js'
export * from './rl/index.js'
export * from './train/index.js'
export { AdjudgeError, errorCodes, isAdjudgeError, type ErrorCode } from './errors.js'
