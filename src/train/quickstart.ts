/**
 * The quickstart's run: a tiny policy learns from a tiny judge's verdicts, on text of the package's own generator. Every
 * completion goes to the judge as it finishes; what the judge says is the only signal.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { packageRoot } from '../binding/load.js'
import { AdjudgeError } from '../errors.js'
import { createJudge, type Judge, type Verdict } from '../judge/index.js'
import { Policy, type Completion, type Group, type Message } from '../policy/index.js'
import { checkReply, Random, writeMessage, type CustomerMessage } from '../tasks/replies/index.js'
import { writeAtomic } from './files.js'
import { finite, MetricsFile } from './metrics.js'
import { recordFormat } from './records.js'
import { summarize } from './statistics.js'

export interface QuickstartOptions {
  /** Where the run's files go. */
  folder: string
  steps: number
  seed: number
  /** Held-out messages that are answered before and after. */
  evaluation: number
  threads?: number
  signal?: AbortSignal
}

export const quickstartSettings = {
  algorithm: 'grpo',
  promptsPerStep: 8,
  completionsPerPrompt: 8,
  maxTokens: 64,
  temperature: 1,
  learningRate: 4e-4,
  clipNorm: 1
} as const

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
  helpful: number
  polite: number
  short: number
  replies: { message: string; reply: string; score: number | null; check: number }[]
}

export type QuickstartEvent =
  | { type: 'loaded'; parameters: number; judgeParameters: number }
  | { type: 'evaluation'; when: 'before' | 'after'; evaluation: Evaluation }
  | { type: 'step'; step: number; steps: number; reward: number | null; deadGroups: number; seconds: number }
  | { type: 'done'; folder: string; before: Evaluation; after: Evaluation }

const assets = join(packageRoot, 'assets')

const messagesOf = ({ text }: CustomerMessage): Message[] => [{ role: 'user', content: text }]

const parametersOf = (policy: Policy): number =>
  policy.parameters().reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)

/**
 * Runs it and tells what happens. The run's folder gets config.yaml, metrics.jsonl, evaluation-before.jsonl,
 * evaluation-after.jsonl and model/ (a Transformers folder).
 * @throws AdjudgeError `CANCELLED`, `FILE_UNWRITABLE`, `ALL_UNSCORED`
 */
export async function* quickstart(options: QuickstartOptions): AsyncGenerator<QuickstartEvent> {
  const { folder, steps, seed } = options
  const settings = { ...quickstartSettings, steps, seed }
  using policy = await Policy.load(join(assets, 'policy'), options.threads ? { threads: options.threads } : {})
  using judgeModel = await Policy.load(join(assets, 'judge'), { trainable: false })
  const judge = await createJudge({
    provider: 'native',
    model: judgeModel,
    rubric: join(assets, 'rubric.yaml'),
    name: 'quickstart judge'
  })
  yield { type: 'loaded', parameters: parametersOf(policy), judgeParameters: parametersOf(judgeModel) }
  const metricsFile = join(folder, 'metrics.jsonl')
  await writeAtomic(join(folder, 'config.yaml'), stringify({ format: recordFormat, ...settings }))
  await rm(metricsFile, { force: true })
  const metrics = new MetricsFile(metricsFile)
  const heldOutRandom = new Random(seed + 1_000_003)
  const heldOut = Array.from({ length: options.evaluation }, () => writeMessage(heldOutRandom, 'heldOut'))
  const evaluated = async (when: 'before' | 'after'): Promise<Evaluation> => {
    const evaluation = await evaluate(policy, judge, heldOut, seed, options.signal)
    const lines = evaluation.replies.map((reply) => JSON.stringify({ format: recordFormat, ...reply }) + '\n')
    await writeAtomic(join(folder, `evaluation-${when}.jsonl`), lines.join(''))
    return evaluation
  }
  try {
    const before = await evaluated('before')
    yield { type: 'evaluation', when: 'before', evaluation: before }
    const random = new Random(seed)
    for (let step = 1; step <= steps; step++) {
      const started = performance.now()
      const messages = Array.from({ length: settings.promptsPerStep }, () => writeMessage(random, 'train'))
      const { groups, verdicts } = await answer(policy, judge, messages, {
        n: settings.completionsPerPrompt,
        seed: seed * 100_000 + step,
        ...(options.signal ? { signal: options.signal } : {})
      })
      const rewards = verdicts.map((group) => group.map(({ score }) => score))
      if (rewards.flat().every((score) => score === null)) {
        throw new AdjudgeError('ALL_UNSCORED', `step ${step}: the judge gave no score at all; nothing can be learned`)
      }
      const { metrics: measured } = await policy.backward({ groups, rewards, algorithm: settings.algorithm })
      const { gradNorm } = await policy.step({
        learningRate: settings.learningRate * Math.min(1, step / 3),
        clipNorm: settings.clipNorm
      })
      const seconds = (performance.now() - started) / 1000
      const deadGroups = measured.frac_reward_zero_std ?? 0
      const lengths = groups.flatMap(({ completions }) => completions.map(({ tokens }) => tokens.length))
      await metrics.append({
        step,
        ...finite({
          ...measured,
          'completions/mean_length': lengths.reduce((sum, length) => sum + length, 0) / lengths.length,
          grad_norm: gradNorm,
          step_time: seconds
        })
      })
      yield { type: 'step', step, steps, reward: summarize(rewards.flat()).mean, deadGroups, seconds }
    }
    const after = await evaluated('after')
    yield { type: 'evaluation', when: 'after', evaluation: after }
    await policy.save(join(folder, 'model'))
    yield { type: 'done', folder, before, after }
  } finally {
    await judge.close()
  }
}

/** Samples replies; each is judged while others still generate. */
async function answer(
  policy: Policy,
  judge: Judge,
  messages: CustomerMessage[],
  options: { n: number; seed: number; signal?: AbortSignal }
): Promise<{ groups: Group[]; verdicts: Verdict[][] }> {
  const pending: Promise<Verdict>[][] = messages.map(() => [])
  const groups = await policy.generate(
    messages.map((message) => ({ messages: messagesOf(message) })),
    {
      ...options,
      maxTokens: quickstartSettings.maxTokens,
      temperature: quickstartSettings.temperature,
      onCompletion: ({ text }: Completion, prompt: number, index: number) => {
        pending[prompt]![index] = judge.scoreOne({ messages: messagesOf(messages[prompt]!), completion: text })
      }
    }
  )
  if (options.signal?.aborted) throw new AdjudgeError('CANCELLED', 'stopped before the end; nothing was saved')
  return { groups, verdicts: await Promise.all(pending.map((group) => Promise.all(group))) }
}

async function evaluate(
  policy: Policy,
  judge: Judge,
  messages: CustomerMessage[],
  seed: number,
  signal: AbortSignal | undefined
): Promise<Evaluation> {
  const { groups, verdicts } = await answer(policy, judge, messages, { n: 1, seed, ...(signal ? { signal } : {}) })
  const checks = messages.map(({ subject }, index) => checkReply(subject, groups[index]!.completions[0]!.text))
  const share = (property: 'helpful' | 'polite' | 'short'): number =>
    checks.filter((check) => check[property]).length / checks.length
  const scores = (values: (number | null)[]): Scores => {
    const { mean, standardError, unscored } = summarize(values)
    return { mean, standardError, unscored }
  }
  return {
    judge: scores(verdicts.map(([verdict]) => verdict!.score)),
    check: scores(checks.map(({ score }) => score)),
    helpful: share('helpful'),
    polite: share('polite'),
    short: share('short'),
    replies: messages.map(({ text }, index) => ({
      message: text,
      reply: groups[index]!.completions[0]!.text,
      score: verdicts[index]![0]!.score,
      check: checks[index]!.score
    }))
  }
}
