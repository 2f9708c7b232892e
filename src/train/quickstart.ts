/**
 * The quickstart's run: a tiny policy learns from a tiny judge's verdicts, on text of the package's own generator. It is
 * an ordinary training run, with its run.yaml and its data written into the run's folder first; what the judge says is
 * the only signal. Beside it a program looks at the replies (src/tasks/replies/check.ts), and nothing learns from that.
 */
import { closeSync, existsSync, openSync, readSync } from 'node:fs'
import { copyFile, mkdir, readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { packageRoot } from '../binding/load.js'
import { AdjudgeError } from '../errors.js'
import { checkReply, Random, writeMessage, type Split } from '../tasks/replies/index.js'
import { loadConfig } from './config.js'
import { fileOf } from './evaluate.js'
import { writeAtomic } from './files.js'
import { train } from './loop.js'
import type { Metrics } from './metrics.js'
import { summarize } from './statistics.js'

export interface QuickstartOptions {
  /** The run's folder: a new one. */
  folder: string
  steps: number
  seed: number
  /** Held-out messages that are answered before and after. */
  evaluation: number
  threads?: number
  /** Aborted: the step in work is finished and saved, and the run ends with `stopped`. */
  signal?: AbortSignal
}

/** Mean with its standard error, and how many stayed without a score. */
export interface Scores {
  mean: number | null
  standardError: number | null
  unscored: number
}

export interface Evaluation {
  /** The judge's scores, 1 to 5. */
  judge: Scores
  /** The same by the program that knows no judge: 1 to 5, and the share of replies that hold each property. */
  check: Scores
  whole: number
  helpful: number
  polite: number
  short: number
  replies: { message: string; reply: string; score: number | null; check: number }[]
}

export type QuickstartEvent =
  | { type: 'start'; folder: string; parameters: number; judgeParameters: number }
  | { type: 'evaluation'; when: 'before' | 'after'; evaluation: Evaluation }
  | { type: 'step'; step: number; steps: number; metrics: Metrics }
  | { type: 'stopped'; step: number; config: string }
  | { type: 'done'; before: Evaluation; after: Evaluation; folder: string; config: string; model: string }

const assets = join(packageRoot, 'assets')

const promptsPerStep = 8

/**
 * Runs it and tells what happens. The folder gets run.yaml, rubric.yaml, train.jsonl, test.jsonl, and what every run has:
 * config.yaml, metrics.jsonl, rollouts, evaluations, checkpoints and the ledger.
 * @throws AdjudgeError `CONFIG_INVALID` where a run is there already, `FILE_UNWRITABLE`, and what a run throws
 */
export async function* quickstart(options: QuickstartOptions): AsyncGenerator<QuickstartEvent> {
  const { steps, signal } = options
  const folder = resolve(options.folder)
  const config = await prepare(folder, options)
  yield {
    type: 'start',
    folder,
    parameters: parametersOf(join(assets, 'policy')),
    judgeParameters: parametersOf(join(assets, 'judge'))
  }
  let before: Evaluation | undefined
  let after: Evaluation | undefined
  let model = ''
  for await (const event of train(loadConfig(config), signal ? { signal } : {})) {
    if (event.type === 'step') yield { type: 'step', step: event.step, steps, metrics: event.metrics }
    else if (event.type === 'checkpoint') model = join(event.folder, 'model')
    else if (event.type === 'evaluation') {
      const evaluation = await readEvaluation(join(folder, 'evaluations', fileOf(event.step)))
      yield { type: 'evaluation', when: before ? 'after' : 'before', evaluation }
      if (before) after = evaluation
      else before = evaluation
    } else if (event.type === 'done') {
      if (before && after) yield { type: 'done', before, after, folder, config, model }
      else yield { type: 'stopped', step: event.step, config }
    }
  }
}

async function prepare(folder: string, options: QuickstartOptions): Promise<string> {
  const { steps, seed, evaluation } = options
  const config = join(folder, 'run.yaml')
  if (existsSync(config)) {
    const message = `${folder}: a run is there already; go on with it by: adjudge train ${config} --resume, or choose another folder`
    throw new AdjudgeError('CONFIG_INVALID', message)
  }
  try {
    await mkdir(folder, { recursive: true })
    await copyFile(join(assets, 'rubric.yaml'), join(folder, 'rubric.yaml'))
  } catch (cause) {
    const message = `${folder}: cannot be written (${(cause as Error).message}); choose a folder that you may write to`
    throw new AdjudgeError('FILE_UNWRITABLE', message, { cause })
  }
  await writeAtomic(join(folder, 'train.jsonl'), messageLines(seed, 'train', steps * promptsPerStep))
  await writeAtomic(join(folder, 'test.jsonl'), messageLines(seed + 1_000_003, 'heldOut', evaluation))
  await writeAtomic(config, configuration(basename(folder), options))
  return config
}

/** One customer message a line; `matter` and `product` are for the check by program, the judge does not see them. */
function messageLines(seed: number, split: Split, count: number): string {
  const random = new Random(seed)
  return Array.from({ length: count }, () => {
    const { text, matter, item } = writeMessage(random, split)
    return JSON.stringify({ messages: [{ role: 'user', content: text }], matter, product: item }) + '\n'
  }).join('')
}

const configuration = (name: string, { steps, seed, evaluation, threads }: QuickstartOptions): string =>
  `# Written by: adjudge quickstart. Go on with this run, for more steps:
#   adjudge train run.yaml --resume --set training.steps=${2 * steps}
name: ${JSON.stringify(name)}
runs: ..
model:
  path: ${JSON.stringify(join(assets, 'policy'))}${threads === undefined ? '' : `\n  threads: ${threads}`}
data: { train: train.jsonl, test: test.jsonl }
rollout: { prompts: ${promptsPerStep}, completions: 8, max_tokens: 96, temperature: 1.0 }
rewards:
  - name: judge
    judge:
      provider: native
      model: ${JSON.stringify(join(assets, 'judge'))}
      rubric: rubric.yaml
algorithm: { preset: grpo }
optimizer: { learning_rate: 4e-4, warmup_steps: 3, clip_norm: 1.0 }
training: { steps: ${steps}, seed: ${seed}, save_every: ${steps}, keep: 1 }
evaluation: { every: ${steps}, items: ${evaluation}, temperature: 1.0 }
`

interface EvaluationLine {
  messages: { content: string }[]
  item: { matter: string; product: string }
  completion: string
  verdicts: { judge: { score: number | null } }
}

async function readEvaluation(file: string): Promise<Evaluation> {
  const lines = (await readFile(file, 'utf8')).trim().split('\n')
  const records = lines.map((line) => JSON.parse(line) as EvaluationLine)
  const checks = records.map(({ item, completion }) =>
    checkReply({ matter: item.matter, item: item.product }, completion)
  )
  const share = (property: 'whole' | 'helpful' | 'polite' | 'short'): number =>
    checks.filter((check) => check[property]).length / checks.length
  const scores = (values: (number | null)[]): Scores => {
    const { mean, standardError, unscored } = summarize(values)
    return { mean, standardError, unscored }
  }
  return {
    judge: scores(records.map(({ verdicts }) => verdicts.judge.score)),
    check: scores(checks.map(({ score }) => score)),
    whole: share('whole'),
    helpful: share('helpful'),
    polite: share('polite'),
    short: share('short'),
    replies: records.map(({ messages, completion, verdicts }, index) => ({
      message: messages[0]!.content,
      reply: completion,
      score: verdicts.judge.score,
      check: checks[index]!.score
    }))
  }
}

/** Counted from the header of the weights' file. */
function parametersOf(model: string): number {
  const file = openSync(join(model, 'model.safetensors'), 'r')
  try {
    const length = Buffer.alloc(8)
    readSync(file, length, 0, 8, 0)
    const header = Buffer.alloc(Number(length.readBigUInt64LE()))
    readSync(file, header, 0, header.length, 8)
    const tensors = Object.values(JSON.parse(header.toString('utf8')) as Record<string, { shape?: number[] }>)
    return tensors.reduce((sum, { shape }) => sum + (shape ? shape.reduce((all, size) => all * size, 1) : 0), 0)
  } finally {
    closeSync(file)
  }
}
