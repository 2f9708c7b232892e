/** Makes a judge from its options. */
import { createHash } from 'node:crypto'
import { createReadStream, readdirSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { AdjudgeError } from '../errors.js'
import { openBudgets, type Budget } from './budget.js'
import { ChatPerformer, type ChatSettings } from './chat.js'
import { CanaryJudge } from './compose/canaries.js'
import { openComposed } from './compose/create.js'
import { votesOf, type JudgeSpec } from './compose/options.js'
import { FunctionThread } from './functionThread.js'
import { FunctionJudge } from './functionJudge.js'
import { Ledger } from './ledger/ledger.js'
import { checkFields } from './fields.js'
import { emptyMetrics } from './metrics.js'
import {
  batchTimes,
  checkCallOptions,
  defaults,
  fallbackOptions,
  rewardProviders,
  type CallOptions,
  type JudgeOptions
} from './options.js'
import type { Performer } from './performer.js'
import { Pipeline, type Caller, type PipelineOptions } from './pipeline.js'
import { priceOf } from './prices.js'
import { modeOf } from './modes/index.js'
import { checkTemplate } from './prompt.js'
import { NativePerformer, type NativeScorer } from './providers/native.js'
import { openBatchProvider } from './providers/batch.js'
import { openProvider } from './providers/registry.js'
import { RewardJudge } from './rewardJudge.js'
import { RubricJudge } from './rubricJudge.js'
import { checkRubric, loadRubric } from './rubric.js'
import { RateStore } from './schedule/store.js'
import { batchDefaults } from './transport/batch/queue.js'
import type { Judge } from './types.js'

/**
 * A judge over a provider, a model of this engine, or a function; or a panel or cascade of such. Loads what it needs but calls nothing yet.
 * Throws JUDGE_INVALID, RUBRIC_INVALID, FUNCTION_INVALID, LEDGER_OPEN or LEDGER_FORMAT.
 */
export async function createJudge(options: JudgeSpec): Promise<Judge> {
  const judge = await openJudge(options)
  if (options.canaries === undefined || options.canaries === 0) return judge
  try {
    return new CanaryJudge(judge, options.canaries)
  } catch (error) {
    await judge.close()
    throw error
  }
}

async function openJudge(options: JudgeSpec): Promise<Judge> {
  if ('panel' in options || 'cascade' in options) return openComposed(options, createJudge)
  if (options.votes !== undefined && options.votes !== 1) return openComposed(votesOf(options), createJudge)
  checkCallOptions(options)
  if (options.provider === 'function') return functionJudge(options)
  if (rewardProviders.includes(options.provider)) return rewardJudge(options)
  if (options.rubric === undefined) throw new AdjudgeError('JUDGE_INVALID', 'judge: rubric is missing')
  const rubric = typeof options.rubric === 'string' ? loadRubric(options.rubric) : checkRubric(options.rubric)
  const reasoning = options.reasoning ?? rubric.reasoning ?? 'none'
  const mode = modeOf(options.mode, rubric)
  mode.check?.(rubric)
  if (options.prompt) checkTemplate(options.prompt, mode.name)
  for (const asked of options.fallback ? [options, options.fallback] : [options]) {
    checkFields(asked, mode.fields?.(rubric) ?? [], reasoning === 'before')
  }
  const caller = await openCaller(options, reasoning === 'before' ? defaults.maxTokensReasoning : defaults.maxTokens)
  return new RubricJudge(caller, mode, {
    rubric,
    reasoning,
    emptyAnswer: options.emptyAnswer ?? 'low',
    ...(options.prompt ? { template: options.prompt } : {})
  })
}

async function rewardJudge(options: JudgeOptions): Promise<Judge> {
  const stray = (['rubric', 'mode', 'prompt', 'reasoning', 'emptyAnswer'] as const).find((name) => options[name])
  if (stray !== undefined) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: ${stray} is for judges that take instructions; provider ${options.provider} scores answers as they are`
    )
  }
  const template = JSON.stringify(options.onnx?.template ?? '')
  const wholeItem = options.provider === 'http' || template.includes('item.')
  return new RewardJudge(await openCaller(options), wholeItem, options.scale)
}

export async function openCaller(
  options: CallOptions & { name?: string },
  maxTokens = defaults.maxTokens
): Promise<Caller> {
  const opened: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (const one of opened.reverse()) await one()
  }
  try {
    const ledger = typeof options.ledger === 'string' ? Ledger.open(options.ledger) : options.ledger
    // A ledger that was handed in belongs to whoever opened it.
    if (ledger && typeof options.ledger === 'string') opened.push(() => ledger.close())
    const budget = openBudgets(options.budget, ledger, opened)
    const given = { ...options, ...(ledger ? { ledger } : {}), budget }
    const metrics = emptyMetrics()
    const fallback = options.fallback && (await openPipeline(fallbackOptions(given), maxTokens, opened, { metrics }))
    const pipeline = await openPipeline(given, maxTokens, opened, { metrics, ...(fallback ? { fallback } : {}) })
    const window = options.transport === 'batch' ? { window: options.batch?.size ?? batchDefaults.size } : {}
    return { name: nameOf(options), pipeline, close, ...window }
  } catch (error) {
    await close()
    throw error
  }
}

/** What is opened is put on `opened`, with how it is closed. */
async function openPipeline(
  options: CallOptions & { name?: string },
  maxTokens: number,
  opened: (() => Promise<void>)[],
  shared: Pick<PipelineOptions, 'metrics' | 'fallback'>
): Promise<Pipeline> {
  const model = modelName(options)
  const ledger = options.ledger as Ledger | undefined
  let store: RateStore | undefined
  if (ledger && (options.requestsPerMinute !== undefined || options.tokensPerMinute !== undefined)) {
    const rates = (store = RateStore.open(ledger.path))
    opened.push(() => rates.close())
  }
  const list = priceOf(options.provider, model, options.baseURL !== undefined, options.priceTable)
  const price = list && options.transport === 'batch' ? { input: list.input / 2, output: list.output / 2 } : list
  const budgets = options.budget as Budget[]
  if (!price && budgets.some(({ limitsMoney }) => limitsMoney)) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: budget.money cannot be kept: the price of ${options.provider}'s model ${model} is unknown; expected it in priceTable, or budget.tokens`
    )
  }
  const performer = await openPerformer(options, model, maxTokens, store)
  const pipeline = new Pipeline({
    name: nameOf(options),
    model,
    performer,
    price,
    budgets,
    ...(ledger ? { ledger } : {}),
    ...shared
  })
  opened.push(() => pipeline.close())
  return pipeline
}

const nameOf = (options: CallOptions & { name?: string }): string =>
  options.name ?? `${options.provider}:${modelName(options)}`

const modelName = (options: CallOptions): string =>
  typeof options.model === 'string'
    ? options.model
    : ((options.model as { name?: string } | undefined)?.name ?? 'model')

async function openPerformer(
  options: CallOptions,
  model: string,
  maxTokens: number,
  store: RateStore | undefined
): Promise<Performer> {
  if (options.provider === 'native') {
    if (typeof options.model !== 'string') return new NativePerformer(options.model!, model, false)
    const path = resolve(options.model)
    const { Policy } = await import('../policy/policy.js')
    const scorer: NativeScorer = await Policy.load(path, { trainable: false })
    return new NativePerformer(scorer, await weightsOf(path), true)
  }
  if (options.provider === 'onnx') {
    const { OnnxPerformer } = await import('./providers/onnx/performer.js')
    return OnnxPerformer.load(model, options.onnx)
  }
  const batch = options.transport === 'batch'
  // A reward server is asked by batches.
  const places = options.provider === 'http' ? 64 : defaults.concurrency
  const times = batch ? batchTimes : defaults
  const settings: ChatSettings = {
    model,
    concurrency: options.concurrency ?? (batch ? (options.batch?.size ?? batchDefaults.size) : places),
    priority: options.priority ?? defaults.priority,
    fallback: options.fallback !== undefined,
    hedge: batch ? 0 : (options.hedge ?? defaults.hedge),
    timeout: options.timeout ?? times.timeout,
    deadline: options.deadline ?? times.deadline,
    attempts: options.attempts ?? defaults.attempts,
    temperature: options.temperature ?? defaults.temperature,
    maxTokens: options.maxTokens ?? maxTokens,
    seed: options.seed ?? defaults.seed,
    logProbs: options.logProbs ?? defaults.logProbs
  }
  const { provider: name, ...rest } = options
  const provider = batch
    ? await openBatchProvider(name, { ...rest, model }, (options.ledger as Ledger).path, options.batch)
    : await openProvider(name, { ...rest, model })
  const where = {
    baseURL: options.baseURL ?? provider.baseURL,
    ...(options.extraBody ? { extraBody: options.extraBody } : {})
  }
  const { requestsPerMinute, tokensPerMinute } = options
  return new ChatPerformer(provider, settings, where, { requestsPerMinute, tokensPerMinute, store })
}

/** Names a model by its content: one trained anew in the same place is another judge, one that was moved is the same. */
async function weightsOf(path: string): Promise<string> {
  const folder = statSync(path).isDirectory()
  const files = folder
    ? readdirSync(path).filter((name) => /^(config|adapter_config)\.json$|\.safetensors$/.test(name))
    : ['']
  const hash = createHash('sha256')
  for (const file of files.sort()) {
    hash.update(file)
    for await (const chunk of createReadStream(resolve(path, file))) hash.update(chunk as Buffer)
  }
  return `sha256:${hash.digest('hex')}`
}

async function functionJudge(options: JudgeOptions): Promise<Judge> {
  const given = options.function
  if (given === undefined) {
    throw new AdjudgeError('JUDGE_INVALID', 'judge: provider function needs `function`: a module file or a function')
  }
  const judge =
    typeof given === 'string' ? await FunctionThread.open(resolve(given), options.timeout ?? defaults.timeout) : given
  return new FunctionJudge(
    options.name ?? `function:${typeof given === 'string' ? given : given.name}`,
    judge,
    options.timeout,
    options.scale
  )
}
