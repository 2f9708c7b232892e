/** The graders' public face. */
export { createGrader, validateGrader } from './create.js'
export { openaiEmbedder, type EmbedderOptions } from './embedder.js'
export type { GraderErrorName, GraderErrors } from './failure.js'
export { Formula } from './formula.js'
export { fuzzyMatch, textMetric, textMetricNames, type TextMetric } from './metrics/index.js'
export type { Embedder, GradeOptions, Grader, GraderOptions, GraderSpec, GraderVerdict, SampleFields } from './types.js'
export { runGrader, type GraderRunErrors, type GraderRunReply, type RunGraderInput, type TokenUsage } from './run.js'
