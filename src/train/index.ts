/** The trainer's public face. */
export { loadConfig, parseConfig, type LoadedConfig } from './config.js'
export { train, type TrainEvent, type TrainOptions } from './loop.js'
export type { Metrics } from './metrics.js'
export { RunSchema, type RunConfig } from './schema.js'
