/**
 * Learning from answers that were judged before: the policy answers the training prompts, the judge scores them, and a run
 * of ../offline learns from the file alone. Held-out prompts are answered before and after; nothing is chosen by them.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJudge, loadConfig, Policy, train, type Judge, type Message } from 'adjudge'

export interface Score {
  mean: number
  error: number
}

/** Runs of ../offline, by their name here. */
export const offlineNames = ['ilql', 'dpo-offline']

const folder = dirname(fileURLToPath(import.meta.url))
const assets = join(folder, '../../assets')
const maxTokens = 96
const answersPerPrompt = 8
/** How far decoding by Q leaves the policy: the best one on training prompts is taken. */
const betas = [0, 1, 2, 3, 4, 6]
const validationPrompts = 100

const messagesOf = (file: string): Message[][] =>
  readFileSync(join(folder, file), 'utf8')
    .trim()
    .split('\n')
    .map((line) => [{ role: 'user', content: (JSON.parse(line) as { text: string }).text }])

const openJudge = (): Promise<Judge> =>
  createJudge({ provider: 'native', model: join(assets, 'judge'), rubric: join(assets, 'rubric.yaml') })

interface Answer {
  messages: Message[]
  completion: string
  finish_reason: string
  score: number | null
}

/** Answers of `n` samples to each prompt, judged. */
async function answer(
  policy: Policy,
  judge: Judge,
  prompts: Message[][],
  options: { n: number; seed: number; beta?: number }
): Promise<Answer[]> {
  const { n, seed, beta } = options
  const groups = await policy.generate(
    prompts.map((messages) => ({ messages })),
    { n, seed, maxTokens, temperature: 1, ...(beta === undefined ? {} : { decoding: { beta } }) }
  )
  const answers = groups.flatMap(({ completions }, prompt) =>
    completions.map(({ text, finishReason }) => ({
      messages: prompts[prompt]!,
      completion: text,
      finish_reason: finishReason
    }))
  )
  const verdicts = await judge.scoreAll(answers.map(({ messages, completion }) => ({ messages, completion })))
  return answers.map((one, index) => ({ ...one, score: verdicts[index]!.score }))
}

function scoreOf(answers: Answer[]): Score {
  const scores = answers.flatMap(({ score }) => (score === null ? [] : [score]))
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length
  const squares = scores.reduce((sum, score) => sum + (score - mean) ** 2, 0)
  return { mean, error: Math.sqrt(squares / (scores.length - 1) / scores.length) }
}

/** The judged answers of a seed, made once for all runs. */
async function judgedFile(seed: number, runs: string, judge: Judge): Promise<string> {
  const path = join(runs, `judged-${seed}.jsonl`)
  if (existsSync(path)) return path
  using policy = await Policy.load(join(assets, 'policy'), { trainable: false })
  const answers = await answer(policy, judge, messagesOf('train.jsonl'), { n: answersPerPrompt, seed })
  mkdirSync(runs, { recursive: true })
  writeFileSync(path, answers.map((one) => `${JSON.stringify(one)}\n`).join(''))
  return path
}

async function trained(name: string, seed: number, data: string, set: string[]): Promise<string> {
  const file = join(folder, '../offline', name === 'ilql' ? 'ilql.yaml' : 'dpo.yaml')
  const loaded = loadConfig(file, [`name=${name}-${seed}`, `training.seed=${seed}`, `data.train=${data}`, ...set])
  rmSync(join(loaded.config.runs, loaded.config.name), { recursive: true, force: true })
  let last = ''
  for await (const event of train(loaded)) if (event.type === 'checkpoint') last = event.folder
  return last
}

/** The beta whose decoding scores best on training prompts. */
async function chosenBeta(policy: Policy, judge: Judge, seed: number): Promise<number> {
  const prompts = messagesOf('train.jsonl').slice(0, validationPrompts)
  let best = { beta: 0, mean: -Infinity }
  for (const beta of betas) {
    const { mean } = scoreOf(await answer(policy, judge, prompts, { n: 1, seed: 1000 + seed, beta }))
    if (mean > best.mean) best = { beta, mean }
  }
  console.log(`ilql        seed ${seed}: beta ${best.beta} (${best.mean.toFixed(3)} on training prompts)`)
  return best.beta
}

/** The held-out score of the policy before and after it learned from answers of its own to the training prompts. */
export async function runOffline(name: string, seed: number, set: string[]): Promise<[Score, Score]> {
  const { runs } = loadConfig(join(folder, '../offline/ilql.yaml')).config
  const judge = await openJudge()
  try {
    const checkpoint = await trained(name, seed, await judgedFile(seed, runs, judge), set)
    using first = await Policy.load(join(assets, 'policy'), { trainable: false })
    using policy = await Policy.load(join(checkpoint, 'model'), { trainable: false })
    let decoding: { beta?: number } = {}
    if (name === 'ilql') {
      await policy.loadHeads(join(checkpoint, 'model'))
      decoding = { beta: await chosenBeta(policy, judge, seed) }
    }
    const heldOut = messagesOf('test.jsonl')
    return [
      scoreOf(await answer(first, judge, heldOut, { n: 1, seed })),
      scoreOf(await answer(policy, judge, heldOut, { n: 1, seed, ...decoding }))
    ]
  } finally {
    await judge.close()
  }
}
