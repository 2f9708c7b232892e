/** The judge or grader that a command line describes: options shared by the commands that score. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { parse } from 'yaml'
import { AdjudgeError } from '../errors.js'
import { createGrader, type GraderSpec } from '../graders/index.js'
import {
  createJudge,
  loadJudge,
  probeProvider,
  providerNames,
  rewardProviders,
  rewardShapes,
  serverPresetNames,
  type Judge,
  type JudgeInput,
  type JudgeMetrics,
  type JudgeOptions,
  type JudgeSpec,
  type ProviderName,
  type RewardShape,
  type Scale,
  type ServerPresetName,
  type Transport,
  type Verdict
} from '../judge/index.js'
import { secretNamed } from '../judge/secrets.js'
import { errorColors } from './colors.js'
import { positiveInteger } from './numbers.js'

export interface JudgeFlags {
  rubric?: string
  judge?: string
  function?: string
  provider?: string
  model?: string
  preset?: string
  transport?: string
  baseUrl?: string
  shape?: string
  apiKeyEnv?: string
  concurrency?: number
}

export interface ScorerOptions extends JudgeFlags {
  grader?: string
}

export interface Scorer {
  readonly name: string
  readonly scale?: Scale
  /** True where a verdict depends on the other answers to the prompt. */
  readonly together: boolean
  /** How many prompts are worked on at once, where that is more than usual. */
  readonly window?: number
  /** Canaries that were mixed in, and how the stages of a cascade agree, where the judge has them. */
  readonly watched?: () => Pick<JudgeMetrics, 'canaries' | 'drift'>
  score(input: JudgeInput, signal: AbortSignal): Promise<Verdict>
  /** All answers to one prompt. */
  scoreGroup(inputs: readonly JudgeInput[], signal: AbortSignal): Promise<Verdict[]>
  close(): Promise<void>
}

export const addJudgeOptions = (command: Command, modelFlag = '--model'): Command =>
  command
    .option('--rubric <file>', 'judge by this rubric (YAML)')
    .option('--judge <file>', "a judge's whole configuration (YAML), as `judge:` has it in a run's")
    .option('--function <file>', 'score by the default export of this module')
    .option(
      '--provider <name>',
      `${providerNames.slice(0, -2).join(', ')} or ${providerNames.at(-2)}; default: openai, or what --judge says`
    )
    .option('--preset <name>', `for openai_compatible: ${serverPresetNames.join(', ')}`)
    .option('--transport <name>', 'call, or batch: the half-price batch interface of openai and anthropic')
    .option(`${modelFlag} <name>`, "the judge's model; for native and onnx a folder (native: or a GGUF file)")
    .option('--base-url <url>', "a server with the provider's wire format; for http the reward server")
    .option('--shape <name>', `for http, how the reward server is asked: ${rewardShapes.join(', ')}`)
    .option('--api-key-env <name>', 'the environment variable that holds the key')
    .option('--concurrency <n>', 'calls in flight at once', positiveInteger)

export const addScorerOptions = (command: Command, modelFlag = '--model'): Command =>
  addJudgeOptions(command, modelFlag).option('--grader <file>', "score by this grader (YAML or JSON, OpenAI's shape)")

/** Throws CONFIG_INVALID unless exactly one of rubric or judge, grader and function is given; a reward model needs none. */
function checkOne({ rubric, judge, grader, function: module, provider }: ScorerOptions, graders = true): void {
  const given = [rubric ?? judge, grader, module].filter((value) => value !== undefined)
  if (given.length === 1 || (given.length === 0 && rewardProviders.includes(provider ?? ''))) return
  const kinds = graders ? '--rubric, --grader and --function' : '--rubric and --function'
  const others = '--judge has it all in a file; --provider http and onnx need none'
  throw new AdjudgeError('CONFIG_INVALID', `expected exactly one of ${kinds} (${others})`)
}

/** What the flags say of the calls. They go before a judge's file. */
function callsOf(options: JudgeFlags, ledger: string | undefined): Partial<JudgeOptions> {
  return {
    ...(ledger === undefined ? {} : { ledger }),
    ...(options.provider === undefined ? {} : { provider: options.provider as ProviderName }),
    ...(options.model === undefined ? {} : { model: options.model }),
    ...(options.preset === undefined ? {} : { preset: options.preset as ServerPresetName }),
    ...(options.transport === undefined ? {} : { transport: options.transport as Transport }),
    ...(options.shape === undefined ? {} : { shape: options.shape as RewardShape }),
    ...(options.baseUrl === undefined ? {} : { baseURL: options.baseUrl }),
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
    ...(options.apiKeyEnv === undefined ? {} : { apiKey: keyFrom(options.apiKeyEnv) })
  }
}

/**
 * What `createJudge` takes. `ledger` is taken where neither `--ledger` nor the judge's file names one. Undefined for a
 * grader. Throws CONFIG_INVALID unless exactly one of rubric or judge, grader and function is given.
 */
export function judgeFrom(
  options: ScorerOptions & { ledger?: string },
  ledger?: string,
  graders = true
): JudgeSpec | undefined {
  checkOne(options, graders)
  if (options.grader !== undefined) return undefined
  if (options.function !== undefined) return { provider: 'function', function: resolve(options.function) }
  const file = options.judge === undefined ? undefined : loadJudge(options.judge)
  const at = options.ledger ?? (file?.ledger === undefined ? ledger : undefined)
  const { ledger: kept, ...calls } = callsOf(options, at)
  const rubric = options.rubric === undefined ? {} : { rubric: options.rubric }
  const over = { ...calls, ...rubric }
  if (file && !('provider' in file)) {
    const flag = flagIn(options)
    if (flag === undefined) return { ...file, ...(kept === undefined ? {} : { ledger: kept }) }
    const message = `${options.judge} has several judges: ${flag} cannot be given on the command line; expected it there`
    throw new AdjudgeError('CONFIG_INVALID', message)
  }
  return { ...(file ?? { provider: 'openai' }), ...over, ...(kept === undefined ? {} : { ledger: kept }) }
}

/** A flag that was given and says something of one judge. */
const flagIn = (flags: JudgeFlags): string | undefined =>
  Object.entries({
    '--rubric': flags.rubric,
    '--provider': flags.provider,
    '--model': flags.model,
    '--preset': flags.preset,
    '--transport': flags.transport,
    '--base-url': flags.baseUrl,
    '--shape': flags.shape,
    '--api-key-env': flags.apiKeyEnv,
    '--concurrency': flags.concurrency
  }).find(([, value]) => value !== undefined)?.[0]

/** The judges that are asked in the end. */
export function singleJudges(spec: JudgeSpec): JudgeOptions[] {
  if ('provider' in spec) return [spec]
  const members = 'panel' in spec ? spec.panel : spec.cascade
  return members.flatMap((member) => ('scoreOne' in member ? [] : singleJudges(member)))
}

/** Opens the judge, and warns where its server does not answer: verdicts may be in the ledger, or it is on its way up. */
export async function openJudge(spec: JudgeSpec): Promise<Judge> {
  const probed = new Set<string>()
  for (const single of singleJudges(spec)) {
    const { provider } = single
    if (provider === 'function' || !providerNames.includes(provider as ProviderName)) continue
    const { reachable, detail } = await probeProvider(single)
    if (!reachable && !probed.has(detail)) {
      console.error(errorColors.yellow(`the judge's server does not answer, calls are tried again: ${detail}`))
    }
    probed.add(detail)
  }
  return createJudge(spec)
}

/** Throws CONFIG_INVALID as `judgeFrom` does, and what the judge or grader throws. */
export async function openScorer(options: ScorerOptions & { ledger?: string }, ledger?: string): Promise<Scorer> {
  const given = judgeFrom(options, ledger)
  if (!given)
    return graderScorer(options.grader!, { provider: 'openai', ...callsOf(options, options.ledger ?? ledger) })
  const judge = await openJudge(given)
  return {
    name: judge.name,
    ...(judge.scale ? { scale: judge.scale } : {}),
    together: judge.together ?? false,
    // Twice the places: one verdict that is slow holds back those behind it, and the places must not stand empty.
    window: Math.max(judge.window ?? 0, ...singleJudges(given).map(({ concurrency = 0 }) => 2 * concurrency), 256),
    watched: () => judge.metrics,
    score: (input, signal) => judge.scoreOne(input, { signal }),
    scoreGroup: (inputs, signal) => judge.scoreGroup(inputs, { signal }),
    close: () => judge.close()
  }
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
    together: false,
    score: (input, signal) => grader.grade(input, { signal }),
    scoreGroup: (inputs, signal) => Promise.all(inputs.map((input) => grader.grade(input, { signal }))),
    close: () => grader.close()
  }
}

function keyFrom(variable: string): string {
  const key = secretNamed(variable)
  if (!key) throw new AdjudgeError('JUDGE_INVALID', `--api-key-env names ${variable}, which is not set`)
  return key
}
