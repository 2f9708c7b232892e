/** `adjudge generate`: answers of a model, to one prompt on the screen or to a data set in a file. */
import { Command } from 'commander'
import { Dataset } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import { JsonlWriter } from '../train/files.js'
import { recordFormat } from '../train/records.js'
import { addAnswerOptions, openPolicy, samplingFrom, type AnswerOptions } from './model.js'
import { positiveInteger } from './numbers.js'
import { startProgress } from './progress.js'

interface GenerateCommandOptions extends AnswerOptions {
  prompt?: string
  data?: string
  template?: string
  out?: string
  n: number
  limit?: number
}

/** Prompts per call of the engine. */
const slice = 64

export const generateCommand = (): Command =>
  addAnswerOptions(
    new Command('generate')
      .description('answer one prompt, or every prompt of a data set')
      .argument('<model>', 'a Transformers folder or a GGUF file')
  )
    .option('--prompt <text>', 'what the user says')
    .option('--data <file>', 'JSONL or CSV with messages or prompt')
    .option('--template <text>', 'the prompt over the data set, for example "{{ item.text }}"')
    .option('--out <file>', 'answers as JSONL, ready for: adjudge judge')
    .option('--n <n>', 'answers per prompt', positiveInteger, 1)
    .option('--limit <n>', 'only the first n prompts', positiveInteger)
    .action(generate)

async function generate(model: string, options: GenerateCommandOptions): Promise<void> {
  if ((options.prompt === undefined) === (options.data === undefined)) {
    throw new AdjudgeError('CONFIG_INVALID', 'expected exactly one of --prompt and --data')
  }
  if (options.data !== undefined && options.out === undefined) {
    throw new AdjudgeError('CONFIG_INVALID', '--data needs --out: the file for the answers')
  }
  const sampling = { ...samplingFrom(options), n: options.n }
  if (options.prompt !== undefined) {
    using policy = await openPolicy(model, options)
    const [group] = await policy.generate([{ messages: [{ role: 'user', content: options.prompt }] }], sampling)
    for (const { text } of group!.completions) console.log(text)
    return
  }
  await using data = await Dataset.open(
    options.data!,
    options.template === undefined ? {} : { prompt: options.template }
  )
  using policy = await openPolicy(model, options)
  const total = Math.min(options.limit ?? Infinity, data.length)
  const writer = await JsonlWriter.open(options.out!)
  const progress = startProgress(total, 'prompts')
  try {
    for (let first = 0; first < total; first += slice) {
      const items = await Promise.all(
        Array.from({ length: Math.min(slice, total - first) }, (_, offset) => data.item(first + offset))
      )
      const groups = await policy.generate(
        items.map(({ messages }) => ({ messages })),
        { ...sampling, seed: options.seed + first }
      )
      for (const [index, { completions }] of groups.entries()) {
        const { id, messages, item } = items[index]!
        for (const { text, finishReason, tokens } of completions) {
          const answer = { completion: text, finish_reason: finishReason, tokens: tokens.length }
          await writer.write({ ...item, format: recordFormat, id, messages, ...answer })
        }
      }
      progress.update(first + items.length, '')
    }
    await writer.finish()
  } catch (error) {
    await writer.abandon().catch(() => undefined)
    throw error
  } finally {
    progress.stop()
  }
  console.log(`answers: ${options.out}`)
}
