/** The data layer's public face. */
export { Dataset, type DatasetOptions, type DataItem } from './dataset.js'
export { permutation, position, type Position } from './permutation.js'
export { PromptTemplates, type PromptTemplateSource } from './prompt.js'
