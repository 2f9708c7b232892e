/** The policy that a command line names: options shared by the commands that answer. */
import type { Command } from 'commander'
import { Policy } from '../policy/policy.js'
import type { GenerateOptions } from '../policy/types.js'
import { amount, positiveInteger, wholeNumber } from './numbers.js'

export interface AnswerOptions {
  adapter?: string
  threads?: number
  maxTokens: number
  temperature: number
  seed: number
  stop: string[]
  beta?: number
  topK?: number
}

const collect = (value: string, before: string[]): string[] => [...before, value]

export const addAnswerOptions = (command: Command): Command =>
  command
    .option('--adapter <folder>', 'put this PEFT adapter on the model')
    .option('--threads <n>', 'threads of the engine; default: one per core', positiveInteger)
    .option('--max-tokens <n>', 'most tokens of an answer', positiveInteger, 128)
    .option('--temperature <t>', '0 takes the most probable token', amount, 0)
    .option('--top-k <k>', 'only the k most probable tokens; 0 = all', wholeNumber, 0)
    .option(
      '--beta <b>',
      'with the Q heads that a run of ilql left beside its weights: sample from logits + b · (min Q − V)',
      amount
    )
    .option('--seed <n>', 'of the samples', wholeNumber, 1)
    .option('--stop <text>', 'ends an answer; may be given again', collect, [])

/** The model without what only training needs. Throws what `Policy.load` and `loadHeads` throw. */
export async function openPolicy(
  path: string,
  { adapter, threads, beta }: Pick<AnswerOptions, 'adapter' | 'threads' | 'beta'>
): Promise<Policy> {
  const policy = await Policy.load(path, {
    trainable: false,
    ...(adapter === undefined ? {} : { adapter }),
    ...(threads === undefined ? {} : { threads })
  })
  try {
    if (beta !== undefined) await policy.loadHeads(adapter ?? path)
    return policy
  } catch (error) {
    policy.dispose()
    throw error
  }
}

export const samplingFrom = ({ maxTokens, temperature, seed, stop, beta, topK }: AnswerOptions): GenerateOptions => ({
  maxTokens,
  temperature,
  seed,
  stop,
  ...(topK === undefined ? {} : { topK }),
  ...(beta === undefined ? {} : { decoding: { beta } })
})
