/** `adjudge judge`: grades answers that are already there. Verdicts are kept in a ledger, so a second run goes on. */
import { Command } from 'commander'
import { Dataset, type DataItem } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import type { JudgeInput, Verdict } from '../judge/index.js'
import { scoreInOrder } from '../judge/stream.js'
import { JsonlWriter } from '../train/files.js'
import { recordFormat, verdictRecord } from '../train/records.js'
import { countReasons, summarize } from '../train/statistics.js'
import { onInterrupt } from './interrupt.js'
import { positiveInteger } from './numbers.js'
import { startProgress } from './progress.js'
import { addScorerOptions, openScorer, type ScorerOptions } from './scorer.js'

interface JudgeCommandOptions extends ScorerOptions {
  out?: string
  ledger?: string
  answer: string
  limit?: number
}

export const judgeCommand = (): Command =>
  addScorerOptions(
    new Command('judge')
      .description('grade given answers, and say mean, standard error and what stayed unscored')
      .argument('<answers>', 'JSONL or CSV: messages or prompt, and the answer to grade')
  )
    .option('--answer <field>', 'the field that holds the answer; else the last assistant turn', 'completion')
    .option('--out <file>', 'answers and verdicts as JSONL, ready to learn from; default: <answers>.verdicts.jsonl')
    .option('--ledger <folder>', 'where verdicts are kept and found again; default: <out>.ledger')
    .option('--limit <n>', 'only the first n answers', positiveInteger)
    .action(judgeAnswers)

async function judgeAnswers(file: string, options: JudgeCommandOptions): Promise<void> {
  const out = options.out ?? `${file.replace(/\.(jsonl|ndjson|json|csv)$/i, '')}.verdicts.jsonl`
  await using data = await Dataset.open(file, { images: true })
  const total = Math.min(options.limit ?? Infinity, data.length)
  const scorer = await openScorer(options, options.ledger ?? `${out}.ledger`)
  const progress = startProgress(total, 'answers')
  const writer = await JsonlWriter.open(out)
  const verdicts: Verdict[] = []
  let sum = 0
  let scored = 0
  using interrupt = onInterrupt('ends after the verdicts in flight')
  try {
    const inputs = judgeInputs(file, data.items(total), options.answer)
    const judge = async (input: JudgeInput): Promise<{ input: JudgeInput; verdict: Verdict }> => ({
      input,
      verdict: await scorer.score(input, interrupt.signal)
    })
    for await (const { input, verdict } of scoreInOrder(inputs, judge, scorer.window)) {
      if (interrupt.signal.aborted) break
      const { id, messages, completion, item } = input
      // With what was judged, so that a run can learn from the file (data.completions: given).
      const { finish_reason: reason } = item ?? {}
      const judged = { id, messages, completion, ...(typeof reason === 'string' ? { finish_reason: reason } : {}) }
      await writer.write({ format: recordFormat, ...judged, ...verdictRecord(verdict) })
      verdicts.push(verdict)
      sum += verdict.score ?? 0
      if (verdict.score !== null) scored++
      const mean = scored === 0 ? null : sum / scored
      progress.update(verdicts.length, `mean ${shown(mean)}, ${verdicts.length - scored} unscored`)
    }
    if (interrupt.signal.aborted) {
      throw new AdjudgeError(
        'CANCELLED',
        'stopped; what was judged is in the ledger: the same command goes on from there'
      )
    }
    await writer.finish()
  } catch (error) {
    await writer.abandon().catch(() => undefined)
    throw error
  } finally {
    progress.stop()
    await scorer.close()
  }
  report(scorer.name, verdicts, out)
}

async function* judgeInputs(file: string, items: AsyncIterable<DataItem>, field: string): AsyncGenerator<JudgeInput> {
  for await (const { id, line, messages: texts, seen: messages = texts, item, reference } of items) {
    const { [field]: answer, ...rest } = item
    const last = texts.at(-1)!
    const fromTurn = answer === undefined && last.role === 'assistant'
    const completion = fromTurn ? last.content : answer
    if (typeof completion !== 'string') {
      const found = completion === undefined ? 'missing' : 'no text'
      throw new AdjudgeError(
        'DATA_INVALID',
        `${file}:${line}: field ${field} is ${found}; expected the answer (--answer names another field)`
      )
    }
    yield {
      id,
      messages: fromTurn ? messages.slice(0, -1) : messages,
      completion,
      item: rest,
      ...(reference === undefined ? {} : { reference })
    }
  }
}

const shown = (value: number | null): string => (value === null ? 'none' : value.toFixed(3))

/** Throws ALL_UNSCORED where no answer has a score: the command then fails, though the file tells why. */
function report(name: string, verdicts: Verdict[], out: string): void {
  const { items, scored, unscored, mean, standardError } = summarize(verdicts.map(({ score }) => score))
  const error = standardError === null ? '' : ` ± ${standardError.toFixed(3)} (standard error)`
  console.log(`${name}: mean ${shown(mean)}${error}, ${scored} of ${items} scored`)
  if (unscored > 0) {
    const reasons = countReasons(verdicts).map(([reason, count]) => `${reason} ${count}`)
    console.log(`unscored ${unscored}: ${reasons.join(', ')}`)
  }
  const calls = verdicts.filter(({ flags, attempts }) => attempts > 0 && !flags.includes('cached'))
  const tokens = calls.reduce((sum, { usage }) => sum + usage.inputTokens + usage.outputTokens, 0)
  const cost = calls.some((verdict) => verdict.cost === null)
    ? 'unknown cost'
    : `$${calls.reduce((sum, verdict) => sum + verdict.cost!, 0).toFixed(4)}`
  const cached = verdicts.filter(({ flags }) => flags.includes('cached')).length
  console.log(`judged ${calls.length}, from the ledger ${cached}; ${tokens} tokens, ${cost}`)
  console.log(`verdicts: ${out}`)
  if (scored === 0) {
    const first = verdicts.find(({ detail }) => detail !== undefined)?.detail ?? 'no detail'
    throw new AdjudgeError('ALL_UNSCORED', `no answer has a score; the first one says: ${first}`)
  }
}
