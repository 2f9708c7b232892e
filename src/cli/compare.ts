/** `adjudge compare`: which of two files has the better answers, pair by pair, each pair judged in both orders. */
import { Command, Option } from 'commander'
import { readRows } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import type { Comparison } from '../judge/index.js'
import { scoreInOrder } from '../judge/stream.js'
import { writeAtomic } from '../train/files.js'
import { recordFormat, verdictRecord } from '../train/records.js'
import { addAnswerFields, begun, fieldsFrom, flagOf, sayFields, type AnswerFlags } from './answers.js'
import { errorColors } from './colors.js'
import { ComparisonSummary, comparisonLines } from './comparisons.js'
import { Exit, exitCodes } from './exit.js'
import { commandLine, Stopped } from './interrupt.js'
import { addMetricsOptions, type MetricsFlags } from './metrics.js'
import { positiveInteger, share } from './numbers.js'
import { toStandardOutput } from './output.js'
import { Pairs, type Pair } from './pairs.js'
import { recording } from './recording.js'
import { addJudgeOptions, judgeFrom, openJudge, type JudgeFlags } from './scorer.js'

interface CompareOptions extends JudgeFlags, AnswerFlags, MetricsFlags {
  out?: string
  ledger?: string
  join: 'auto' | 'id' | 'order'
  limit?: number
  summary?: string
  minWinRate?: number
}

export const compareCommand = (): Command =>
  addMetricsOptions(
    addAnswerFields(
      addJudgeOptions(
        new Command('compare')
          .description('judge the answers of two files pair by pair, each in both orders, and say who wins how often')
          .argument('<first>', 'JSONL, CSV or Parquet with prompts and answers')
          .argument('<second>', 'the other answers to the same prompts')
      )
    )
      .addOption(
        new Option('--join <how>', 'which rows belong together; auto: by id where both files have ids, else by order')
          .choices(['auto', 'id', 'order'])
          .default('auto')
      )
      .option('--out <file>', 'the comparisons as JSONL, or - for standard output; default: <first>.comparisons.jsonl')
      .option('--ledger <folder>', 'where verdicts are kept and found again; default: <out>.ledger')
      .option('--limit <n>', 'only the first n pairs', positiveInteger)
      .option('--summary <file>', 'the summary as JSON')
      .option('--min-win-rate <share>', 'exit with 3 where the first wins less often, for example 0.5 or 50%', share)
  )
    .addHelpText('after', examples)
    .action(compareAnswers)

const examples = `
Examples:
  adjudge compare new.jsonl old.jsonl --rubric rubric.yaml --model gpt-5-mini
  adjudge compare new.csv old.csv --join id --judge judge.yaml --out - --min-win-rate 50%

A pair whose orders disagree is a tie and counted as a swap flip. The win rate counts a tie as half a win; its interval
is Wilson's at 95 %. Exit codes as of: adjudge judge --help
`

async function compareAnswers(first: string, second: string, options: CompareOptions, command: Command): Promise<void> {
  const named = fieldsFrom(options)
  const format = options.format ? { format: options.format } : {}
  const sides = await Promise.all([begun(readRows(first, format)), begun(readRows(second, format))])
  const pairs = new Pairs([first, second], sides, named, options.join, flagOf)
  const out = options.out ?? `${first.replace(/\.(jsonl|ndjson|json|csv|parquet)$/i, '')}.comparisons.jsonl`
  const beside = toStandardOutput(out) ? undefined : `${out}.ledger`
  const judge = await openJudge(judgeFrom(options, beside, false)!)
  const say = toStandardOutput(out) ? console.error : console.log
  const summary = new ComparisonSummary()
  let stopped = false
  let budget: string | undefined
  let detail: string | undefined
  try {
    await recording(out, 'pairs', options, async ({ writer, progress, pace, signal }) => {
      const results = scoreInOrder(pairs.read(options.limit), async (pair: Pair) => ({
        pair,
        comparison: await judge.compare(pair.first, pair.second, { signal })
      }))
      for await (const { pair, comparison } of results) {
        if (summary.pairs === 0) sayFields(pairs.found, named)
        stopped = signal.aborted
        if (comparison.reason === 'budget') budget = comparison.detail ?? ''
        if (stopped || budget !== undefined) break
        await writer.write(recordOf(pair, comparison))
        summary.add(comparison)
        detail ??= comparison.preference === null ? comparison.detail : undefined
        const done = options.limit === undefined ? pair.share : Math.max(pair.share ?? 0, summary.pairs / options.limit)
        progress.update(summary.pairs, `${pace.note(summary.pairs, done)}  ${summary.short()}`.trim(), done)
      }
      return !stopped && budget === undefined
    })
  } finally {
    await judge.close()
  }
  if (stopped || budget !== undefined) {
    const what = stopped ? `stopped after ${summary.pairs} pairs` : `the budget is reached: ${budget}`
    console.error(
      `${what}\nwhat is in the ledger is not asked again; the same command goes on:\n  ${commandLine(command)}`
    )
    if (stopped) throw new Stopped()
    throw new Exit(exitCodes.budget)
  }
  const record = summary.record()
  for (const line of comparisonLines(judge.name, [first, second], record)) say(line)
  for (const line of pairs.unmatched()) console.error(errorColors.yellow(line))
  if (!toStandardOutput(out)) say(`comparisons: ${out}`)
  const missed = options.minWinRate !== undefined && record.win_rate !== null && record.win_rate < options.minWinRate
  if (options.summary !== undefined) {
    const content = { format: recordFormat, judge: judge.name, first, second, comparisons_file: out, ...record }
    await writeAtomic(options.summary, JSON.stringify(content, null, 2) + '\n')
  }
  if (record.judged === 0) {
    throw new AdjudgeError('ALL_UNSCORED', `no pair could be judged; the first one says: ${detail ?? 'no detail'}`)
  }
  if (missed) {
    console.error(
      errorColors.red(`--min-win-rate ${options.minWinRate}: the win rate is ${record.win_rate!.toFixed(3)}`)
    )
    throw new Exit(exitCodes.gate)
  }
}

function recordOf({ first, second }: Pair, comparison: Comparison): object {
  const { id, messages, completion } = first
  return {
    format: recordFormat,
    id,
    messages,
    first: completion,
    second: second.completion,
    ...verdictRecord(comparison)
  }
}
