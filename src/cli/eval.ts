/** `adjudge eval`: a data set through a model, each answer scored as it is finished. */
import { Command } from 'commander'
import { Dataset, type DataItem } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import type { Verdict } from '../judge/index.js'
import { JsonlWriter } from '../train/files.js'
import { recordFormat, verdictRecord } from '../train/records.js'
import { countReasons, summarize } from '../train/statistics.js'
import { addAnswerOptions, openPolicy, samplingFrom, type AnswerOptions } from './model.js'
import { positiveInteger } from './numbers.js'
import { addScorerOptions, openScorer, type ScorerOptions } from './scorer.js'

interface EvalCommandOptions extends AnswerOptions, Omit<ScorerOptions, 'model'> {
  judgeModel?: string
  template?: string
  out: string
  ledger?: string
  limit?: number
}

export const evalCommand = (): Command =>
  addScorerOptions(
    addAnswerOptions(
      new Command('eval')
        .description('answer a data set with a model and score the answers')
        .argument('<model>', 'a Transformers folder or a GGUF file')
        .argument('<data>', 'JSONL or CSV with messages or prompt')
    ),
    '--judge-model'
  )
    .option('--template <text>', 'the prompt over the data set, for example "{{ item.text }}"')
    .option('--out <file>', 'answers and verdicts as JSONL', 'evaluation.jsonl')
    .option('--ledger <folder>', 'where verdicts are kept and found again; default: <out>.ledger')
    .option('--limit <n>', 'only the first n prompts', positiveInteger)
    .action(evaluateModel)

async function evaluateModel(model: string, file: string, options: EvalCommandOptions): Promise<void> {
  await using data = await Dataset.open(file, options.template === undefined ? {} : { prompt: options.template })
  const items: DataItem[] = []
  for await (const item of data.items(options.limit)) items.push(item)
  const { judgeModel, ...rest } = options
  const scorerOptions = { ...rest, ...(judgeModel === undefined ? {} : { model: judgeModel }) }
  const scorer = await openScorer(scorerOptions, options.ledger ?? `${options.out}.ledger`)
  try {
    using policy = await openPolicy(model, options)
    const verdicts = await answerAndScore()
    const { scored, mean, standardError } = summarize(verdicts.map(({ score }) => score))
    const error = standardError === null ? '' : ` ± ${standardError.toFixed(3)} (standard error)`
    console.log(`${scorer.name}: mean ${mean?.toFixed(3) ?? 'none'}${error}, ${scored} of ${items.length} scored`)
    for (const [reason, count] of countReasons(verdicts)) console.log(`unscored ${count}: ${reason}`)
    console.log(`answers and verdicts: ${options.out}`)
    if (scored === 0) throw new AdjudgeError('ALL_UNSCORED', 'no answer has a score; the file tells why')

    async function answerAndScore(): Promise<Verdict[]> {
      const never = new AbortController().signal
      const scoring: Promise<Verdict>[] = []
      const groups = await policy.generate(
        items.map(({ messages }) => ({ messages })),
        {
          ...samplingFrom(options),
          onCompletion: ({ text }, index) => {
            const { id, messages, item, reference } = items[index]!
            const known = reference === undefined ? {} : { reference }
            scoring[index] = scorer.score({ id, messages, completion: text, item, ...known }, never)
            scoring[index].catch(() => undefined)
          }
        }
      )
      const results = await Promise.all(scoring)
      const writer = await JsonlWriter.open(options.out)
      for (const [index, verdict] of results.entries()) {
        const { id, messages, item } = items[index]!
        const completion = groups[index]!.completions[0]!.text
        await writer.write({ format: recordFormat, id, messages, item, completion, ...verdictRecord(verdict) })
      }
      await writer.finish()
      return results
    }
  } finally {
    await scorer.close()
  }
}
