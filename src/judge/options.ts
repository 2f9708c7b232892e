/** What `createJudge` takes, and its defaults in one object. */
import { AdjudgeError } from '../errors.js'
import type { Budget, BudgetOptions } from './budget.js'
import type { Aggregate } from './compose/aggregate.js'
import type { Ledger } from './ledger/ledger.js'
import type { JudgeFunction } from './function.js'
import type { Price } from './prices.js'
import type { ModeName, ModeOptions } from './modes/index.js'
import type { Mode } from './modes/mode.js'
import type { NativeScorer } from './providers/native.js'
import { rewardShapes, type RewardShape } from './providers/http/shapes.js'
import type { OnnxOptions } from './providers/onnx/performer.js'
import { serverPresetNames, type ServerPresetName } from './providers/presets.js'
import { providersKnown } from './providers/registry.js'
import { openaiApis, type OpenAIApi } from './providers/shared.js'
import type { PromptTemplate } from './prompt.js'
import { priorities, type Priority } from './schedule/queue.js'
import type { Rubric } from './rubric.js'
import type { Scale } from './types.js'

export type ProviderName =
  'openai' | 'anthropic' | 'ollama' | 'openai_compatible' | 'native' | 'http' | 'onnx' | 'function'

/** Those that come with adjudge; `registerProvider` adds more. */
export const providerNames: readonly ProviderName[] = [
  'openai',
  'anthropic',
  'ollama',
  'openai_compatible',
  'native',
  'http',
  'onnx',
  'function'
]

/** They give the same verdict however often they are asked. */
export const providersWithoutChance: readonly string[] = ['native', 'onnx', 'function']

/** Those that judge conversations as they are, by no rubric. */
export const rewardProviders: readonly string[] = ['http', 'onnx']

/** What concerns the calls: where they go, how often, how long. */
export interface CallOptions {
  provider: ProviderName | (string & {})
  /**
   * The provider's model name; for `native` a model folder, a GGUF file, or a loaded policy; for `onnx` a Transformers
   * folder with model.onnx. `http` has none.
   */
  model?: string | NativeScorer
  /** Any server with the provider's wire format; the provider's own where absent. */
  baseURL?: string
  /**
   * Default: the provider's variable (OPENAI_API_KEY, ANTHROPIC_API_KEY, …; see providers/presets.ts) from the environment
   * or the secrets file (`ADJUDGE_SECRETS`, or ~/.config/adjudge/secrets.yaml). Never logged or stored.
   */
  apiKey?: string
  /** `openai`: which interface is asked. Default chat (completions). */
  api?: OpenAIApi
  /** `openai_compatible`: whose server it is, with its address and ways. */
  preset?: ServerPresetName
  /** Azure's `api-version`. */
  apiVersion?: string
  /** `ollama`: how long the model stays loaded, e.g. `30m`, or seconds; negative: for ever. */
  keepAlive?: string | number
  /** `http`: how the reward server is asked and answers. Default openrlhf. See providers/http/shapes.ts. */
  shape?: RewardShape
  /** `onnx`: the model's input and what its outputs mean. */
  onnx?: OnnxOptions
  /** Fields added to each request's body as they are, e.g. `{ reasoning_effort: 'low' }`; part of the ledger's key. */
  extraBody?: Record<string, unknown>
  /**
   * Most calls in flight at once, counted over all judges of the process that share server and key; fewer where the
   * server turns out to take fewer. Default 8.
   */
  concurrency?: number
  /**
   * Most calls, and most tokens of prompts and replies, in any 60 s, counted over all judges of the process that share
   * server and key, and over all processes that use the same ledger. Default: none beside what the server says itself.
   */
  requestsPerMinute?: number
  tokensPerMinute?: number
  /** Whose calls go first where they have to wait. Default `training`. */
  priority?: Priority
  /**
   * Most second calls for ones that take longer than 95 % do, as a share of all calls, in [0, 1]: the first good reply
   * counts, both are paid. Default 0: none.
   */
  hedge?: number
  /**
   * A judge that is asked where this one could not be (provider_error, timeout, rate_limited). Its verdicts name it
   * (`judge`, flag `fallback`) and lie under its own key in the ledger. What it does not say itself is as above.
   */
  fallback?: FallbackOptions
  /**
   * `batch`: by the half-price batch interface of openai or anthropic. A verdict takes minutes to a day; it needs a
   * ledger, beside which the batches are noted, so that a run that was stopped finds what it has paid for. Default `call`.
   */
  transport?: Transport
  /** How batches are made: requests per batch (10,000), and milliseconds of quiet before one is sent and between looks. */
  batch?: { size?: number; linger?: number; poll?: number }
  /** Milliseconds per call. */
  timeout?: number
  /** Milliseconds per verdict: calls, back-off and re-ask, without the time that it waits for a free place. */
  deadline?: number
  /**
   * Most attempts per verdict: calls that failed, and replies that were of no use (each is shown its error once, then
   * the question is asked afresh with the next seed, three times at most). Refused or broken connections and 502–504
   * are bounded by the deadline only.
   */
  attempts?: number
  temperature?: number
  /** Most tokens of a reply. */
  maxTokens?: number
  seed?: number
  /** `auto`: scores are expectations over the score tokens where the provider returns log-probs. */
  logProbs?: 'auto' | 'never'
  /** A file or an open ledger; verdicts are durable before they are used, and never asked for twice. */
  ledger?: string | Ledger
  /** A limit of money or tokens: a call that no longer fits is not sent, and its verdict is unscored (`budget`). */
  budget?: BudgetOptions | Budget | readonly (BudgetOptions | Budget)[]
  /** US dollars per million tokens, by model name; goes before the built-in table. */
  priceTable?: Record<string, Price>
}

export type Transport = 'call' | 'batch'

export const transports: readonly Transport[] = ['call', 'batch']

export type FallbackOptions = Omit<CallOptions, 'fallback' | 'ledger' | 'budget'> & { name?: string }

export interface JudgeOptions extends CallOptions {
  /** Shown in results and errors; default: provider and model. Not part of the ledger's key. */
  name?: string
  /** A rubric file, or a rubric. Needed by every provider but `function`. */
  rubric?: string | Rubric
  /** A module that exports a function, or the function; for `provider: 'function'`. */
  function?: string | JudgeFunction
  /** Overrides the rubric's `reasoning`. */
  reasoning?: 'none' | 'before'
  /**
   * How answers are judged: `pointwise` (default), `checklist`, `label` (default where the rubric has labels),
   * `reference`, `pairwise` (against the reference), `group` (all answers to a prompt in one call), `tournament` (each
   * against each); with options as `{ type: 'group', chunk: 8 }`; or a mode of your own.
   */
  mode?: ModeName | ModeOptions | Mode
  /** Replaces the built-in prompt (`{{ prompt }}`, `{{ answer }}`, `{{ rubric }}`, …; see prompt.ts). */
  prompt?: PromptTemplate
  /**
   * An empty answer, or one that ends inside its reasoning, is never sent. `low` (default): it gets the scale's
   * lowest score, for it is the policy's fault and must not go unpunished; `unscored`: it is left out.
   */
  emptyAnswer?: 'low' | 'unscored'
  /**
   * Asks so many times, each with a seed of its own, and makes the verdicts one (`members` has each). `temperature` is
   * then 1 by default. Default 1.
   */
  votes?: number
  /** How votes become one score. Default mean. */
  aggregate?: Aggregate
  /** Fewest votes that must be scored; default: more than half. */
  quorum?: number
  /**
   * Answers that deserve nothing (an opening without an answer, a hedge, a forged verdict, …), asked beside so large a
   * share of the real ones, in [0, 1], and reported in `metrics.canaries`. They cost as any call. Default 0.
   */
  canaries?: number
  /** Of a function: its lowest and highest score; one outside is unscored. A rubric has its own. */
  scale?: Scale
}

/** A batch takes up to a day; one that expires is tried again. */
export const batchTimes = { timeout: 26 * 3_600_000, deadline: 3 * 24 * 3_600_000 }

export const defaults = {
  concurrency: 8,
  priority: 'training' as const,
  hedge: 0,
  timeout: 60_000,
  deadline: 120_000,
  attempts: 6,
  temperature: 0,
  seed: 0,
  logProbs: 'auto' as const,
  /** Without and with reasoning before the score. */
  maxTokens: 256,
  maxTokensReasoning: 1024
}

/** The fallback's options with what it has from the judge: everything but where it is and how much it may be asked. */
export function fallbackOptions(options: CallOptions): CallOptions & { name?: string } {
  const inherited: Partial<CallOptions> = {}
  for (const name of [
    'timeout',
    'deadline',
    'attempts',
    'temperature',
    'maxTokens',
    'seed',
    'logProbs',
    'priority',
    'ledger',
    'budget',
    'priceTable'
  ] as const) {
    if (options[name] !== undefined) Object.assign(inherited, { [name]: options[name] })
  }
  return { ...inherited, ...options.fallback! }
}

/** Throws JUDGE_INVALID on an option of the wrong kind. */
export function checkCallOptions(options: CallOptions): void {
  const oneOf = (
    name: 'shape' | 'provider' | 'api' | 'preset' | 'priority' | 'transport',
    known: readonly string[]
  ): void => {
    const value = options[name]
    if ((value === undefined && name !== 'provider') || known.includes(value as string)) return
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: ${name} is ${JSON.stringify(value)}; expected one of ${known.join(', ')}`
    )
  }
  oneOf('provider', providersKnown())
  oneOf('priority', priorities)
  oneOf('api', openaiApis)
  oneOf('preset', serverPresetNames)
  oneOf('shape', rewardShapes)
  oneOf('transport', transports)
  for (const [name, provider] of [
    ['api', 'openai'],
    ['preset', 'openai_compatible'],
    ['keepAlive', 'ollama'],
    ['shape', 'http'],
    ['onnx', 'onnx']
  ] as const) {
    if (
      options[name] !== undefined &&
      options.provider !== provider &&
      providerNames.includes(options.provider as ProviderName)
    ) {
      throw new AdjudgeError(
        'JUDGE_INVALID',
        `judge: ${name} is an option of provider ${provider}, not of ${options.provider}`
      )
    }
  }
  const positive = (
    name: 'concurrency' | 'timeout' | 'deadline' | 'attempts' | 'maxTokens' | 'requestsPerMinute' | 'tokensPerMinute',
    integer: boolean
  ): void => {
    const value = options[name]
    if (value === undefined) return
    if (typeof value !== 'number' || !(value > 0) || (integer && !Number.isInteger(value))) {
      throw new AdjudgeError(
        'JUDGE_INVALID',
        `judge: ${name} is ${String(value)}; expected a positive ${integer ? 'integer' : name.endsWith('Minute') ? 'number' : 'number of milliseconds'}`
      )
    }
  }
  positive('concurrency', true)
  positive('attempts', true)
  positive('maxTokens', true)
  positive('timeout', false)
  positive('deadline', false)
  positive('requestsPerMinute', false)
  positive('tokensPerMinute', false)
  if (options.temperature !== undefined && !(options.temperature >= 0)) {
    throw new AdjudgeError('JUDGE_INVALID', `judge: temperature is ${options.temperature}; expected a number >= 0`)
  }
  if (options.logProbs !== undefined && options.logProbs !== 'auto' && options.logProbs !== 'never') {
    throw new AdjudgeError('JUDGE_INVALID', `judge: logProbs is ${String(options.logProbs)}; expected auto or never`)
  }
  if (options.hedge !== undefined && !(options.hedge >= 0 && options.hedge <= 1)) {
    throw new AdjudgeError('JUDGE_INVALID', `judge: hedge is ${options.hedge}; expected a share from 0 to 1`)
  }
  for (const name of ['size', 'linger', 'poll'] as const) {
    const value = options.batch?.[name]
    if (value !== undefined && (!(value > 0) || (name === 'size' && !Number.isInteger(value)))) {
      throw new AdjudgeError('JUDGE_INVALID', `judge: batch.${name} is ${value}; expected a number above 0`)
    }
  }
  if (options.transport === 'batch' && options.ledger === undefined) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      'judge: transport batch needs a ledger: what a batch brings after the process has ended is found again by it'
    )
  }
  if (options.fallback !== undefined) checkFallback(options.fallback, rewardProviders.includes(options.provider))
  if (options.provider !== 'function' && options.provider !== 'http' && !options.model) {
    throw new AdjudgeError('JUDGE_INVALID', `judge: provider ${options.provider} needs a model`)
  }
}

/** `reward`: whether the judge is one that has no rubric. */
function checkFallback(fallback: FallbackOptions, reward: boolean): void {
  const problem = (text: string): AdjudgeError => new AdjudgeError('JUDGE_INVALID', `judge: fallback: ${text}`)
  if (fallback.provider === 'function') throw problem('a function cannot stand in for a model')
  if (rewardProviders.includes(fallback.provider) !== reward) {
    throw problem('a reward model and a judge by rubric cannot stand in for one another')
  }
  if ('fallback' in fallback) throw problem('a fallback has no fallback of its own')
  try {
    checkCallOptions(fallback)
  } catch (error) {
    throw problem((error as Error).message.replace(/^judge: /, ''))
  }
}
