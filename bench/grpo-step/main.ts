/**
 * One GRPO step with full fine-tuning: 4 prompts of about 75 tokens x 8 completions x 64 new tokens. Prints seconds per
 * part and peak memory and, with --peer-python, the ratio to TRL, measured in turns in the same run.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Figure, Figures } from '../ledger/record.js'
import { figureOf, median } from '../ledger/statistics.js'
import { wholeNumber } from '../suite.js'
import { Contender, peerEnvironment, type ContenderCommand } from '../contender.js'
import { promptsOf, withoutEnd, type StepResult, type Task } from './task.js'

const help = `npm run bench -- grpo-step MODEL_FOLDER [options]
  --dtype auto|float32|bfloat16   ours (auto)          --threads N      of both (all processors)
  --rounds N                      steps that count (3) --warm-up N      steps before them (1)
  --prompts N --completions N --max-tokens N           the task (4, 8, 64)
  --peer-python PATH              a Python with torch, transformers and trl, for example a venv's bin/python
  --peer-settings LIST            dtype:micro-batch, ... (float32:32,bfloat16:8); 0 = no micro-batches
  --json FILE                     every step's figures`

/** Options that change what is measured. */
const taskOptions = ['--threads', '--prompts', '--completions', '--max-tokens']

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export async function main(args: string[]): Promise<Figures | undefined> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      dtype: { type: 'string', default: 'auto' },
      threads: { type: 'string', default: String(availableParallelism()) },
      rounds: { type: 'string', default: '3' },
      'warm-up': { type: 'string', default: '1' },
      prompts: { type: 'string', default: '4' },
      completions: { type: 'string', default: '8' },
      'max-tokens': { type: 'string', default: '64' },
      'peer-python': { type: 'string' },
      'peer-settings': { type: 'string', default: 'float32:32,bfloat16:8' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  const model = positionals[0]
  if (values.help || !model) {
    console.log(help)
    if (!values.help) process.exitCode = 2
    return
  }
  const count = (name: 'threads' | 'rounds' | 'warm-up' | 'prompts' | 'completions' | 'max-tokens'): number =>
    wholeNumber(name, values[name], name === 'warm-up' ? 0 : 1)
  const folder = mkdtempSync(join(tmpdir(), 'adjudge-bench-'))
  try {
    const task: Task = {
      model: withoutEnd(model, join(folder, 'model')),
      prompts: promptsOf(count('prompts')),
      completions: count('completions'),
      maxTokens: count('max-tokens'),
      learningRate: 1e-6,
      threads: count('threads')
    }
    const peers = values['peer-python'] ? values['peer-settings'].split(',') : [undefined]
    const report: object[] = []
    const figures: Figures = {}
    for (const setting of peers) {
      const commands = [ours(task, values.dtype)]
      if (setting) commands.push(peer(task, values['peer-python']!, setting))
      report.push(...(await compare(commands, count('rounds'), count('warm-up'), figures)))
    }
    if (values.json) writeFileSync(values.json, JSON.stringify(report, null, 2) + '\n')
    // The ledger compares the task as it is by default; another model is another figure.
    const modelName = basename(resolve(model))
    if (args.some((one) => taskOptions.includes(one.split('=')[0]!))) return undefined
    return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [`${modelName}: ${name}`, figure]))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function ours(task: Task, dtype: string): ContenderCommand {
  const jiti = fileURLToPath(import.meta.resolve('jiti/package.json')).replace('package.json', 'lib/jiti-cli.mjs')
  return {
    name: `adjudge ${dtype}`,
    command: process.execPath,
    args: [jiti, here('ours.ts'), JSON.stringify(task), dtype],
    env: process.env
  }
}

function peer(task: Task, python: string, setting: string): ContenderCommand {
  const [dtype = '', microBatch = '0'] = setting.split(':')
  return {
    name: `TRL ${dtype}`,
    command: python,
    args: [here('../peers/trl_grpo_step.py'), JSON.stringify(task), dtype, microBatch],
    env: peerEnvironment(task.threads)
  }
}

/** All contenders are started, then take turns, so that what else the machine does touches all alike. */
async function compare(
  commands: ContenderCommand[],
  rounds: number,
  warmUp: number,
  figures: Figures
): Promise<object[]> {
  const contenders: Contender<StepResult>[] = []
  try {
    for (const command of commands) {
      const contender = await Contender.start<StepResult>(command)
      contenders.push(contender)
      console.log(`${contender.name}: ${contender.description}`)
    }
    for (const contender of contenders) for (let step = 0; step < warmUp; step++) await contender.ask('step')
    for (let round = 1; round <= rounds; round++) {
      for (const contender of contenders) {
        console.log(`round ${round}  ${line(contender.name, await contender.measure('step'))}`)
      }
    }
  } finally {
    await Promise.all(contenders.map((contender) => contender.end()))
  }
  for (const contender of contenders) print(contender)
  const [first, ...others] = contenders
  for (const other of others) figures[`${other.name} / ${first!.name}, one step`] = printRatio(first!, other)
  return contenders.map(({ name, description, results, peakAnonymous, peakResident }) => ({
    name,
    description,
    results,
    peakAnonymous,
    peakResident
  }))
}

function line(name: string, { seconds, generation, backward, optimizer, promptTokens, completionTokens }: StepResult) {
  const parts = [`generation ${generation.toFixed(2)}`, `backward ${backward.toFixed(2)}`]
  parts.push(`optimizer ${optimizer.toFixed(2)}`)
  return `${name.padEnd(14)} ${seconds.toFixed(2)} s (${parts.join(', ')}), ${promptTokens} + ${completionTokens} tokens`
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(2)} GB`

function print({ name, results, peakAnonymous, peakResident }: Contender<StepResult>): void {
  const part = (key: 'seconds' | 'generation' | 'backward' | 'optimizer') => median(results.map((one) => one[key]))
  console.log(
    `\n${name}: median ${part('seconds').toFixed(2)} s a step: generation ${part('generation').toFixed(2)}, ` +
      `backward ${part('backward').toFixed(2)}, optimizer ${part('optimizer').toFixed(2)}; ` +
      `peak anonymous memory ${gigabytes(peakAnonymous)} (with mapped files ${gigabytes(peakResident)})`
  )
}

function printRatio(first: Contender<StepResult>, other: Contender<StepResult>): Figure {
  const ratios = first.results.map(({ seconds }, index) => other.results[index]!.seconds / seconds)
  const range = `${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}`
  console.log(
    `${other.name} / ${first.name}: time ${median(ratios).toFixed(2)} (${range}), ` +
      `memory ${(other.peakAnonymous / first.peakAnonymous).toFixed(2)}`
  )
  return figureOf(ratios, 'times')
}
