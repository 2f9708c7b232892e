/** `adjudge quickstart`: the main job with nothing to download — a tiny policy gets better by a tiny judge's verdicts. */
import { join } from 'node:path'
import { Command } from 'commander'
import { quickstart, type Evaluation, type Scores } from '../train/quickstart.js'
import { outColors } from './colors.js'
import { onInterrupt } from './interrupt.js'
import { positiveInteger } from './numbers.js'

interface QuickstartCommandOptions {
  out: string
  steps: number
  seed: number
  evaluation: number
  threads?: number
}

export const quickstartCommand = (): Command =>
  new Command('quickstart')
    .description('train a tiny model with a tiny judge, both of which the package carries (about a minute)')
    .option('--out <folder>', "the run's folder", join('runs', 'quickstart'))
    .option('--steps <n>', 'training steps', positiveInteger, 40)
    .option('--seed <n>', 'another run', positiveInteger, 1)
    .option('--evaluation <n>', 'held-out messages answered before and after', positiveInteger, 64)
    .option('--threads <n>', 'threads of the engine', positiveInteger)
    .action(runQuickstart)

async function runQuickstart(options: QuickstartCommandOptions): Promise<void> {
  using interrupt = onInterrupt('stops')
  const started = performance.now()
  const { out, ...rest } = options
  console.log(
    outColors.bold('A small shop answers its customers. The policy answers in mixed manners: curt, rambling, off the')
  )
  console.log(
    outColors.bold(
      'subject, helpful. The judge wants replies that help, are polite, and are short (assets/rubric.yaml).\n'
    )
  )
  for await (const event of quickstart({ ...rest, folder: out, signal: interrupt.signal })) {
    if (event.type === 'loaded') {
      console.log(
        `policy: ${millions(event.parameters)} parameters   judge: ${millions(event.judgeParameters)} parameters`
      )
    } else if (event.type === 'evaluation' && event.when === 'before') {
      console.log(
        `before: judge ${shown(event.evaluation.judge)} of 5 on ${event.evaluation.replies.length} held-out messages\n`
      )
    } else if (event.type === 'step') {
      if (event.step === 1 || event.step % 4 === 0 || event.step === event.steps) {
        const bar = '█'.repeat(Math.round((((event.reward ?? 1) - 1) / 4) * 30)).padEnd(30, '·')
        console.log(
          `step ${String(event.step).padStart(3)}/${event.steps}  judge ${(event.reward ?? NaN).toFixed(2)} ${bar}` +
            `  dead groups ${Math.round(100 * event.deadGroups)} %  ${event.seconds.toFixed(2)} s`
        )
      }
    } else if (event.type === 'done') {
      report(event.before, event.after, event.folder, (performance.now() - started) / 1000)
    }
  }
}

const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`

const shown = ({ mean, standardError }: Scores): string =>
  mean === null ? 'no score' : `${mean.toFixed(2)}${standardError === null ? '' : ` ± ${standardError.toFixed(2)}`}`

function report(before: Evaluation, after: Evaluation, folder: string, seconds: number): void {
  const percent = (share: number): string => `${Math.round(100 * share)} %`
  const row = (name: string, first: string, second: string): void =>
    console.log(`  ${name.padEnd(34)}${first.padEnd(16)}${second}`)
  console.log(
    outColors.bold(`\nOn ${before.replies.length} held-out messages (words and products that no model was trained on)`)
  )
  row('', 'before', 'after')
  row('judge, 1 to 5', shown(before.judge), shown(after.judge))
  row('check by program, 1 to 5', shown(before.check), shown(after.check))
  row('  on the subject', percent(before.helpful), percent(after.helpful))
  row('  polite', percent(before.polite), percent(after.polite))
  row('  short', percent(before.short), percent(after.short))
  console.log('  The program knows no judge: if only the judge were fooled, its row would not rise.\n')
  before.replies.slice(0, 5).forEach(({ message, reply, score }, index) => {
    const later = after.replies[index]!
    console.log(outColors.bold(`  Customer: ${message}`))
    console.log(`    before (${score?.toFixed(1) ?? 'unscored'})  ${oneLine(reply)}`)
    console.log(`    after  (${later.score?.toFixed(1) ?? 'unscored'})  ${outColors.green(oneLine(later.reply))}\n`)
  })
  console.log(
    `Done in ${seconds.toFixed(0)} s. The run lies in ${folder}: config.yaml, metrics.jsonl, evaluation-before.jsonl,`
  )
  console.log('evaluation-after.jsonl, and model/ (a Transformers folder).\n')
  console.log('Next, with your own data and judge:')
  console.log('  1. prompts.jsonl: one {"messages": [{"role": "user", "content": "..."}]} per line')
  console.log('  2. rubric.yaml: what a good answer is (copy assets/rubric.yaml of this package)')
  console.log('  3. see first whether the judge can tell good from bad answers:')
  console.log('     adjudge judge answers.jsonl --rubric rubric.yaml --provider openai --model <name>')
  console.log('  4. adjudge train run.yaml')
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ⏎ ')
