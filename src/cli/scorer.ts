/** The judge or grader that a command line describes: options shared by the commands that score. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { parse } from 'yaml'
import { AdjudgeError } from '../errors.js'
import { createGrader, type GraderSpec, type GraderVerdict } from '../graders/index.js'
import {
  createJudge,
  probeProvider,
  providerNames,
  rewardProviders,
  rewardShapes,
  serverPresetNames,
  type JudgeInput,
  type JudgeOptions,
  type ProviderName,
  type RewardShape,
  type ServerPresetName,
  type Transport,
  type Verdict
} from '../judge/index.js'
import { secretNamed } from '../judge/secrets.js'
import { errorColors } from './colors.js'
import { positiveInteger } from './numbers.js'

export interface ScorerOptions {
  rubric?: string
  grader?: string
  function?: string
  provider: string
  model?: string
  preset?: string
  transport?: string
  baseUrl?: string
  shape?: string
  apiKeyEnv?: string
  concurrency?: number
}

export interface Scorer {
  readonly name: string
  readonly window?: number | undefined
  score(input: JudgeInput, signal: AbortSignal): Promise<Verdict | GraderVerdict>
  close(): Promise<void>
}

export const addScorerOptions = (command: Command, modelFlag = '--model'): Command =>
  command
    .option('--rubric <file>', 'judge by this rubric (YAML)')
    .option('--grader <file>', "score by this grader (YAML or JSON, OpenAI's shape)")
    .option('--function <file>', 'score by the default export of this module')
    .option('--provider <name>', `${providerNames.slice(0, -2).join(', ')} or ${providerNames.at(-2)}`, 'openai')
    .option('--preset <name>', `for openai_compatible: ${serverPresetNames.join(', ')}`)
    .option('--transport <name>', 'call, or batch: the half-price batch interface of openai and anthropic')
    .option(`${modelFlag} <name>`, "the judge's model; for native and onnx a folder (native: or a GGUF file)")
    .option('--base-url <url>', "a server with the provider's wire format; for http the reward server")
    .option('--shape <name>', `for http, how the reward server is asked: ${rewardShapes.join(', ')}`)
    .option('--api-key-env <name>', 'the environment variable that holds the key')
    .option('--concurrency <n>', 'calls in flight at once', positiveInteger)

/** Throws CONFIG_INVALID unless exactly one of rubric, grader and function is given. */
export async function openScorer(options: ScorerOptions, ledger: string): Promise<Scorer> {
  const given = [options.rubric, options.grader, options.function].filter((value) => value !== undefined)
  const reward = rewardProviders.includes(options.provider) && given.length === 0
  if (given.length !== 1 && !reward) {
    throw new AdjudgeError(
      'CONFIG_INVALID',
      'expected exactly one of --rubric, --grader and --function (none with --provider http or onnx)'
    )
  }
  const calls: Partial<JudgeOptions> & { provider: ProviderName } = {
    provider: options.provider as ProviderName,
    ledger,
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.preset === undefined ? {} : { preset: options.preset as ServerPresetName }),
    ...(options.transport === undefined ? {} : { transport: options.transport as Transport }),
    ...(options.shape === undefined ? {} : { shape: options.shape as RewardShape }),
    ...(options.baseUrl === undefined ? {} : { baseURL: options.baseUrl }),
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
    ...(options.apiKeyEnv === undefined ? {} : { apiKey: keyFrom(options.apiKeyEnv) })
  }
  await warnUnreachable(options, calls)
  if (options.grader !== undefined) return graderScorer(options.grader, calls)
  const judge =
    options.function === undefined
      ? await createJudge({ ...calls, ...(reward ? {} : { rubric: options.rubric! }) })
      : await createJudge({ provider: 'function', function: resolve(options.function) })
  return {
    name: judge.name,
    window: judge.window,
    score: (input, signal) => judge.scoreOne(input, { signal }),
    close: () => judge.close()
  }
}

/** Only a warning: verdicts may be in the ledger, and a server may be on its way up. */
async function warnUnreachable(
  options: ScorerOptions,
  calls: { provider: ProviderName; baseURL?: string; preset?: ServerPresetName }
): Promise<void> {
  if (options.rubric === undefined || !providerNames.includes(calls.provider)) return
  const { reachable, detail } = await probeProvider(calls)
  if (!reachable)
    console.error(errorColors.yellow(`the judge's server does not answer, calls are tried again: ${detail}`))
}

async function graderScorer(file: string, calls: Partial<JudgeOptions>): Promise<Scorer> {
  let spec: GraderSpec
  try {
    spec = parse(readFileSync(file, 'utf8')) as GraderSpec
  } catch (cause) {
    const message = `${file}: cannot be read as a grader (${(cause as Error).message})`
    throw new AdjudgeError('GRADER_INVALID', message, { cause })
  }
  const grader = await createGrader(spec, { judge: calls, folder: dirname(resolve(file)) })
  return {
    name: grader.name,
    score: (input, signal) => grader.grade(input, { signal }),
    close: () => grader.close()
  }
}

function keyFrom(variable: string): string {
  const key = secretNamed(variable)
  if (!key) throw new AdjudgeError('JUDGE_INVALID', `--api-key-env names ${variable}, which is not set`)
  return key
}
