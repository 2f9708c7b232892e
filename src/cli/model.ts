/** The policy that a command line names: options shared by the commands that answer. */
import type { Command } from 'commander'
import { Policy } from '../policy/policy.js'
import type { GenerateOptions } from '../policy/types.js'
import { amount, positiveInteger } from './numbers.js'

export interface AnswerOptions {
  adapter?: string
  threads?: number
  maxTokens: number
  temperature: number
  seed: number
  stop: string[]
}

const collect = (value: string, before: string[]): string[] => [...before, value]

export const addAnswerOptions = (command: Command): Command =>
  command
    .option('--adapter <folder>', 'put this PEFT adapter on the model')
    .option('--threads <n>', 'threads of the engine; default: one per core', positiveInteger)
    .option('--max-tokens <n>', 'most tokens of an answer', positiveInteger, 128)
    .option('--temperature <t>', '0 takes the most probable token', amount, 0)
    .option('--seed <n>', 'of the samples', amount, 1)
    .option('--stop <text>', 'ends an answer; may be given again', collect, [])

/** The model without what only training needs. Throws what `Policy.load` throws. */
export const openPolicy = (path: string, options: Pick<AnswerOptions, 'adapter' | 'threads'>): Promise<Policy> =>
  Policy.load(path, {
    trainable: false,
    ...(options.adapter === undefined ? {} : { adapter: options.adapter }),
    ...(options.threads === undefined ? {} : { threads: options.threads })
  })

export const samplingFrom = ({ maxTokens, temperature, seed, stop }: AnswerOptions): GenerateOptions => ({
  maxTokens,
  temperature,
  seed,
  stop
})
