/** The data layer's public face. */
export { answerGroups, AnswerReader, type AnswerFields, type AnswerRole, type GivenAnswer } from './answers.js'
export { Dataset, type AnsweredItem, type DatasetOptions, type DataItem } from './dataset.js'
export type { GivenCompletion, GivenKind } from './given.js'
export { AnsweredGroups } from './groups.js'
export { permutation, position, type Position } from './permutation.js'
export { PromptTemplates, type PromptTemplateSource } from './prompt.js'
export { readRows, rowFormats, standardInput, type Row, type RowFormat, type RowsOptions } from './rows.js'
