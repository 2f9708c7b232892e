/** The graders' public face. */
export { createGrader } from './create.js'
export { Formula } from './formula.js'
export { fuzzyMatch } from './textSimilarity.js'
export type { GradeOptions, Grader, GraderOptions, GraderSpec, GraderVerdict } from './types.js'
