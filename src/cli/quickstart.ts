/** `adjudge quickstart`: the main job with nothing to download — a tiny policy gets better by a tiny judge's verdicts. */
import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { Command } from 'commander'
import { quickstart, type Evaluation, type QuickstartEvent, type Scores } from '../train/quickstart.js'
import { outColors } from './colors.js'
import { onInterrupt } from './interrupt.js'
import { positiveInteger } from './numbers.js'

interface QuickstartCommandOptions {
  out?: string
  steps: number
  seed: number
  evaluation: number
  threads?: number
}

export const quickstartCommand = (): Command =>
  new Command('quickstart')
    .description('train a tiny model with a tiny judge, both of which the package carries (about a minute)')
    .option('--out <folder>', "the run's folder, a new one; default: runs/quickstart, or the next free number")
    .option('--steps <n>', 'training steps', positiveInteger, 40)
    .option('--seed <n>', 'another run', positiveInteger, 1)
    .option('--evaluation <n>', 'held-out messages answered before and after', positiveInteger, 100)
    .option('--threads <n>', 'threads of the engine', positiveInteger)
    .action(runQuickstart)

const { bold, green, dim } = outColors

async function runQuickstart(options: QuickstartCommandOptions): Promise<void> {
  using interrupt = onInterrupt('finishes this step and saves')
  const started = performance.now()
  const { out, ...rest } = options
  console.log(bold('A small shop answers its customers.'))
  console.log(
    'The untrained policy answers in mixed manners: curt, rambling, off the subject, helpful. A judge, itself a'
  )
  console.log('small language model, reads message and reply and gives 1 to 5: it wants replies that help, are polite,')
  console.log('and are short (assets/rubric.yaml). Its verdicts are all that the policy learns from.\n')
  for await (const event of quickstart({ ...rest, folder: out ?? freeFolder(), signal: interrupt.signal })) {
    tell(event, started)
  }
}

/** The first of runs/quickstart, runs/quickstart-2, … that is not there. */
function freeFolder(): string {
  const name = join('runs', 'quickstart')
  if (!existsSync(name)) return name
  for (let number = 2; ; number++) if (!existsSync(`${name}-${number}`)) return `${name}-${number}`
}

function tell(event: QuickstartEvent, started: number): void {
  switch (event.type) {
    case 'start':
      console.log(`policy  ${millions(event.parameters)} parameters`)
      console.log(`judge   ${millions(event.judgeParameters)} parameters`)
      console.log(`run     ${shortest(event.folder)}\n`)
      break
    case 'evaluation':
      console.log(
        `${event.when === 'before' ? 'before' : '\nafter'}: judge ${shown(event.evaluation.judge)} of 5 on ` +
          `${event.evaluation.replies.length} held-out messages${event.when === 'before' ? '\n' : ''}`
      )
      break
    case 'step':
      if (event.step === 1 || event.step % 4 === 0 || event.step === event.steps) {
        const reward = event.metrics['reward'] ?? null
        const bar = '█'.repeat(Math.round((((reward ?? 1) - 1) / 4) * 30)).padEnd(30, '·')
        console.log(
          `step ${String(event.step).padStart(3)}/${event.steps}  judge ${reward?.toFixed(2) ?? 'none'} ${bar}  ` +
            `${(event.metrics['completions/mean_length'] ?? 0).toFixed(0).padStart(2)} tokens a reply  ` +
            `${(event.metrics['step_time'] ?? 0).toFixed(2)} s`
        )
      }
      break
    case 'stopped':
      console.log(`\nstopped after step ${event.step}; go on with: adjudge train ${shortest(event.config)} --resume`)
      break
    case 'done':
      report(event, (performance.now() - started) / 1000)
  }
}

const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`

const shown = ({ mean, standardError }: Scores): string =>
  mean === null ? 'no score' : `${mean.toFixed(2)}${standardError === null ? '' : ` ± ${standardError.toFixed(2)}`}`

/** A path as one would type it here. */
function shortest(path: string): string {
  const near = relative('.', path)
  return near === '' || near.startsWith('..') ? path : near
}

function report(event: Extract<QuickstartEvent, { type: 'done' }>, seconds: number): void {
  const { before, after, folder, config, model } = event
  compare(before, after)
  console.log(bold(`Done in ${seconds.toFixed(0)} s. The run lies in ${shortest(folder)}`))
  console.log('  run.yaml, rubric.yaml, train.jsonl, test.jsonl   what went in')
  console.log('  metrics.jsonl, rollouts/, evaluations/, ledger/  every number, reply and verdict')
  console.log('  checkpoints/                                     the trained model, a Transformers folder\n')
  console.log(bold('Try next'))
  console.log(`  npx adjudge generate ${shortest(model)} --prompt "Hello, my travel kettle is broken."`)
  console.log(`  npx adjudge train ${shortest(config)} --resume --set training.steps=${2 * stepsOf(model)}\n`)
  console.log(bold('With your own data and judge'))
  console.log('  1. prompts.jsonl: one {"messages": [{"role": "user", "content": "..."}]} per line')
  console.log(`  2. rubric.yaml: what a good answer is (start from ${shortest(join(folder, 'rubric.yaml'))})`)
  console.log('  3. see whether the judge can tell good from bad before anything is trained:')
  console.log('     npx adjudge judge answers.jsonl --rubric rubric.yaml --provider openai --model <name>')
  console.log(`  4. copy ${shortest(config)}, put in your model, data and judge, look at the plan, and train:`)
  console.log('     npx adjudge train run.yaml --dry-run')
  console.log('     npx adjudge train run.yaml')
}

const stepsOf = (model: string): number => Number(/step-(\d+)/.exec(model)?.[1] ?? 0)

function compare(before: Evaluation, after: Evaluation): void {
  const percent = (share: number): string => `${Math.round(100 * share)} %`
  const row = (name: string, first: string, second: string): void =>
    console.log(`  ${name.padEnd(36)}${first.padEnd(16)}${second}`)
  console.log(
    bold(`\nOn ${before.replies.length} held-out messages (wording and products that no model was trained on)`)
  )
  row('', 'before', 'after')
  row('judge, 1 to 5', shown(before.judge), shown(after.judge))
  row('check by program, 1 to 5', shown(before.check), shown(after.check))
  row('  helps with what was asked', percent(before.helpful), percent(after.helpful))
  row('  polite', percent(before.polite), percent(after.polite))
  row('  short', percent(before.short), percent(after.short))
  row('  in whole sentences', percent(before.whole), percent(after.whole))
  console.log(dim('  The program knows no judge and nothing learns from it: if the judge were merely fooled, its rows'))
  console.log(dim('  would not rise. It is strict: a reply with a broken sentence has none of the four.\n'))
  before.replies.slice(0, 5).forEach(({ message, reply, score }, index) => {
    const later = after.replies[index]!
    console.log(bold(`  Customer: ${message}`))
    console.log(`    before (${score?.toFixed(1) ?? 'unscored'})  ${oneLine(reply)}`)
    console.log(`    after  (${later.score?.toFixed(1) ?? 'unscored'})  ${green(oneLine(later.reply))}\n`)
  })
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ⏎ ')
