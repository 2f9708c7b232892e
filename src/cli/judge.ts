/** `adjudge judge`: grades answers that are already there. Verdicts are kept in a ledger, so a second run goes on. */
import { Command, Option } from 'commander'
import { answerGroups, AnswerReader, readRows, standardInput, type GivenAnswer } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import { canaryWarning, VerdictSummary, type Verdict } from '../judge/index.js'
import { scoreAsCompleted, scoreInOrder } from '../judge/stream.js'
import { writeAtomic } from '../train/files.js'
import { recordFormat, verdictRecord } from '../train/records.js'
import { addAnswerFields, begun, fieldsFrom, flagOf, sayFields, type AnswerFlags } from './answers.js'
import { errorColors } from './colors.js'
import { sayEstimate } from './dryRun.js'
import { Exit, exitCodes } from './exit.js'
import { commandLine, Stopped } from './interrupt.js'
import { addMetricsOptions, type MetricsFlags } from './metrics.js'
import { finiteNumber, positiveInteger, share } from './numbers.js'
import { toStandardOutput } from './output.js'
import { recording } from './recording.js'
import { addScorerOptions, judgeFrom, openScorer, type ScorerOptions } from './scorer.js'
import { percent, shown, summaryLines, watchLines } from './summary.js'

interface JudgeCommandOptions extends ScorerOptions, AnswerFlags, MetricsFlags {
  out?: string
  ledger?: string
  limit?: number
  order: 'input' | 'completed'
  summary?: string
  minScore?: number
  maxUnscored?: number
  dryRun?: boolean
}

export const judgeCommand = (): Command =>
  addMetricsOptions(
    addAnswerFields(
      addScorerOptions(
        new Command('judge')
          .description('grade given answers, and say mean, interval, spread and what stayed unscored')
          .argument('<answers>', 'JSONL, CSV or Parquet, or - for standard input: a prompt or messages, and the answer')
      )
    )
      .option(
        '--out <file>',
        'answers and verdicts as JSONL, or - for standard output; default: <answers>.verdicts.jsonl'
      )
      .addOption(new Option('--order <name>', 'of the verdicts').choices(['input', 'completed']).default('input'))
      .option('--ledger <folder>', 'where verdicts are kept and found again; default: <out>.ledger')
      .option('--limit <n>', 'only the first n answers', positiveInteger)
      .option('--summary <file>', 'the summary as JSON')
      .option('--min-score <x>', 'exit with 3 where the mean is below', finiteNumber)
      .option('--max-unscored <share>', 'exit with 3 where more is unscored, for example 0.01 or 1%', share)
      .option('--dry-run', 'ask nothing; say what it would cost')
  )
    .addHelpText('after', examples)
    .action(judgeAnswers)

const examples = `
Examples:
  adjudge judge answers.jsonl --rubric rubric.yaml --model gpt-5-mini
  adjudge judge answers.parquet --prompt question --answer reply --judge judge.yaml --dry-run
  adjudge judge answers.csv --grader grader.yaml --summary summary.json --min-score 0.8 --max-unscored 1%
  generate | adjudge judge - --rubric rubric.yaml --provider native --model models/smollm2 --out - | jq .score

The same command goes on where it was stopped: verdicts are in the ledger, and nothing is asked twice.
Exit codes: 0 done, 1 failed (also where nothing is scored), 2 wrong usage, 3 --min-score or --max-unscored is not
met, 4 a budget is reached, 130 stopped by Ctrl-C.
`

async function judgeAnswers(file: string, options: JudgeCommandOptions, command: Command): Promise<void> {
  const { out, ledger } = placesOf(file, options)
  const rows = await begun(readRows(file, options.format ? { format: options.format } : {}))
  const named = fieldsFrom(options)
  const reader = new AnswerReader(named, flagOf)
  if (options.dryRun) {
    const given = judgeFrom(options)
    await sayEstimate(given, limited(answerGroups(rows, reader, true), options.limit))
    return
  }
  const scorer = await openScorer(options, ledger)
  const say = toStandardOutput(out) ? console.error : console.log
  const summary = new VerdictSummary(scorer.scale)
  const started = performance.now()
  let stoppedBy: 'signal' | 'budget' | undefined
  let firstDetail: string | undefined
  try {
    await recording(out, 'answers', options, async ({ writer, progress, pace, signal }) => {
      const groups = limited(answerGroups(rows, reader, scorer.together), options.limit)
      const results = (options.order === 'completed' ? scoreAsCompleted : scoreInOrder)(
        groups,
        async (answers: GivenAnswer[]) => ({
          answers,
          verdicts:
            answers.length === 1
              ? [await scorer.score(answers[0].input, signal)]
              : await scorer.scoreGroup(
                  answers.map(({ input }) => input),
                  signal
                )
        }),
        scorer.window
      )
      let fieldsSaid = false
      for await (const { answers, verdicts } of results) {
        if (!fieldsSaid) sayFields(reader.found, named)
        fieldsSaid = true
        if (signal.aborted) stoppedBy = 'signal'
        else if (verdicts.some(({ reason }) => reason === 'budget')) stoppedBy = 'budget'
        if (stoppedBy) {
          firstDetail = verdicts.find(({ reason }) => reason === stoppedBy)?.detail
          break
        }
        for (const [index, verdict] of verdicts.entries()) {
          await writer.write(recordOf(answers[index], verdict, options.order === 'completed'))
          firstDetail ??= verdict.score === null ? verdict.detail : undefined
        }
        summary.add(verdicts)
        const done = doneOf(answers, summary.total, options.limit)
        progress.update(summary.total, noteOf(summary, pace.note(summary.total, done)), done)
      }
      return stoppedBy === undefined
    })
  } finally {
    await scorer.close()
  }
  if (stoppedBy) sayStopped(stoppedBy, summary.total, firstDetail, judgeLedger(options, ledger), command)
  const record = summary.record()
  for (const line of summaryLines(scorer.name, record)) say(line)
  const { canaries, drift } = scorer.watched?.() ?? {}
  const watched = { ...(canaries ? { canaries } : {}), ...(drift ? { drift } : {}) }
  for (const line of watchLines(watched)) say(line)
  const warning = canaryWarning(scorer.name, canaries)
  if (warning !== undefined) console.error(errorColors.yellow(warning))
  if (!toStandardOutput(out)) say(`verdicts: ${out}`)
  const { minScore, maxUnscored } = options
  const missed = missedGates(record, minScore, maxUnscored)
  if (options.summary !== undefined) {
    const gates = {
      ...(minScore === undefined ? {} : { min_score: minScore }),
      ...(maxUnscored === undefined ? {} : { max_unscored: maxUnscored }),
      passed: missed.length === 0 && record.scored > 0
    }
    const seconds = (performance.now() - started) / 1000
    const content = { format: recordFormat, judge: scorer.name, answers_file: file, verdicts_file: out, seconds, gates }
    await writeAtomic(options.summary, JSON.stringify({ ...content, ...record, ...watched }, null, 2) + '\n')
  }
  if (record.scored === 0) {
    throw new AdjudgeError('ALL_UNSCORED', `no answer has a score; the first one says: ${firstDetail ?? 'no detail'}`)
  }
  for (const line of missed) console.error(errorColors.red(line))
  if (missed.length > 0) throw new Exit(exitCodes.gate)
}

/** Standard input has no place beside it for a ledger, and gives its verdicts to standard output. */
function placesOf(file: string, options: JudgeCommandOptions): { out: string; ledger?: string } {
  const base = file.replace(/\.(jsonl|ndjson|json|csv|parquet)$/i, '')
  const out = options.out ?? (file === standardInput ? standardInput : `${base}.verdicts.jsonl`)
  const beside = toStandardOutput(out) ? (file === standardInput ? undefined : `${base}.verdicts.jsonl`) : out
  return { out, ...(beside === undefined ? {} : { ledger: `${beside}.ledger` }) }
}

/** Where verdicts are kept; undefined where they are not. */
function judgeLedger(options: JudgeCommandOptions, ledger: string | undefined): string | undefined {
  const kept = options.grader === undefined ? judgeFrom(options, ledger)?.ledger : ledger
  return typeof kept === 'string' ? kept : undefined
}

/** The first `most` answers; a group is cut where they end. */
async function* limited(groups: AsyncIterable<GivenAnswer[]>, most = Infinity): AsyncGenerator<GivenAnswer[]> {
  let left = most
  for await (const group of groups) {
    const taken = group.slice(0, left)
    left -= taken.length
    yield taken.length === group.length || taken.length < 2
      ? taken
      : taken.map((one) => ({ ...one, input: { ...one.input, group: { ...one.input.group!, size: taken.length } } }))
    if (left <= 0) return
  }
}

/** With what was judged, so that a run can learn from the file (data.completions: given). */
function recordOf({ row, input }: GivenAnswer, verdict: Verdict, placed: boolean): object {
  const { id, messages, completion, item, reference, group } = input
  const { finish_reason: reason } = item ?? {}
  return {
    format: recordFormat,
    id,
    ...(placed ? { index: row.index } : {}),
    ...(group ? { group: group.id } : {}),
    messages,
    completion,
    ...(reference === undefined ? {} : { reference }),
    ...(typeof reason === 'string' ? { finish_reason: reason } : {}),
    ...verdictRecord(verdict)
  }
}

/** How much is done, in [0, 1]; null where nobody knows. */
function doneOf(answers: readonly GivenAnswer[], count: number, limit: number | undefined): number | null {
  const read = answers.at(-1)?.row.share ?? null
  return limit === undefined ? read : Math.max(read ?? 0, count / limit)
}

function noteOf(summary: VerdictSummary, pace: string): string {
  const { cost } = summary
  return [
    ...(pace === '' ? [] : [pace]),
    `mean ${shown(summary.mean)}`,
    `${summary.unscored} unscored`,
    ...(cost === null || cost === 0 ? [] : [`$${cost.toFixed(4)}`])
  ].join(', ')
}

function sayStopped(
  why: 'signal' | 'budget',
  count: number,
  detail: string | undefined,
  ledger: string | undefined,
  command: Command
): never {
  const kept =
    ledger === undefined
      ? 'nothing was kept (--ledger keeps verdicts); the same command begins anew:'
      : `what was judged is in the ledger ${ledger}; the same command goes on from there:`
  const what =
    why === 'budget'
      ? `the budget is reached after ${count} answers: ${detail ?? ''}`
      : `stopped after ${count} answers`
  console.error(`${what}\n${kept}\n  ${commandLine(command)}`)
  if (why === 'budget') throw new Exit(exitCodes.budget)
  throw new Stopped()
}

function missedGates(
  { mean, unscored, answers }: { mean: number | null; unscored: number; answers: number },
  minScore: number | undefined,
  maxUnscored: number | undefined
): string[] {
  const missed: string[] = []
  if (minScore !== undefined && mean !== null && mean < minScore) {
    missed.push(`--min-score ${minScore}: the mean is ${shown(mean)}`)
  }
  if (maxUnscored !== undefined && unscored > maxUnscored * answers) {
    missed.push(
      `--max-unscored ${percent(maxUnscored)}: ${unscored} of ${answers} are unscored (${percent(unscored / answers)})`
    )
  }
  return missed
}
