/** Reads run.yaml: checked against the schema with file and line, `--set` applied, defaults filled in, paths made absolute. */
import { readFileSync } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import { AdjudgeError, isAdjudgeError } from '../errors.js'
import { checkDocument, type Override, type Problem } from '../judge/document.js'
import { membersOf, priceOf } from '../judge/index.js'
import { preferencePresetNames, presetNames, resolveAlgorithm, type Algorithm } from '../rl/index.js'
import { nearestName } from '../rl/nearest.js'
import { Choices } from './choices.js'
import { preferenceOf, preferenceProblem } from './preference.js'
import { isQLearning, qTrainingOf } from './qConfig.js'
import {
  inSection,
  reinforcementOf,
  reinforcementProblems,
  unusedProblems,
  type Reinforcement
} from './reinforcement.js'
import { RunSchema, type RewardConfig, type RunConfig } from './schema.js'

export interface LoadedConfig {
  config: RunConfig & { name: string }
  /** The configuration file's folder: where relative paths start. */
  folder: string
}

/** Throws FILE_NOT_FOUND, FILE_UNREADABLE or CONFIG_INVALID (one line per problem: `file:line: …`). */
export function loadConfig(file: string, set: readonly string[] = []): LoadedConfig {
  let yaml: string
  try {
    yaml = readFileSync(file, 'utf8')
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') throw new AdjudgeError('FILE_NOT_FOUND', `${file}: there is no such file`, { cause })
    throw new AdjudgeError('FILE_UNREADABLE', `${file}: cannot be read (${message})`, { cause })
  }
  return parseConfig(yaml, file, set)
}

/** As `loadConfig`, from text; `file` names it in errors and says where relative paths start. */
export function parseConfig(yaml: string, file = 'run.yaml', set: readonly string[] = []): LoadedConfig {
  const overrides = set.map(parseOverride)
  const config = checkDocument(RunSchema, yaml, {
    file,
    code: 'CONFIG_INVALID',
    also: meaningProblems,
    overrides,
    defaults: true
  })
  const folder = dirname(resolve(file))
  return { config: { ...withPaths(config, folder), name: config.name ?? nameOf(file) }, folder }
}

/** `a.b=c`, where c is YAML. */
function parseOverride(text: string): Override {
  const [, path, source] = /^([\w-]+(?:\.[\w-]+)*)=([\s\S]*)$/.exec(text) ?? []
  if (path === undefined || source === undefined) {
    const message = `--set ${text}: cannot be read; expected key.path=value, for example training.steps=20`
    throw new AdjudgeError('CONFIG_INVALID', message)
  }
  try {
    return { path: path.split('.'), value: parse(source) as unknown }
  } catch (cause) {
    const message = `--set ${path}: the value is no YAML (${(cause as Error).message.split('\n')[0]})`
    throw new AdjudgeError('CONFIG_INVALID', message, { cause })
  }
}

const nameOf = (file: string): string => basename(file).replace(/\.ya?ml$/i, '')

function withPaths(config: RunConfig, folder: string): RunConfig {
  const at = (path: string): string => resolve(folder, path)
  const { model, data } = config
  return {
    ...config,
    runs: at(config.runs),
    ...(config.ledger === undefined ? {} : { ledger: at(config.ledger) }),
    model: { ...model, path: at(model.path), ...(model.adapter === undefined ? {} : { adapter: at(model.adapter) }) },
    data: { ...data, train: at(data.train), ...(data.test === undefined ? {} : { test: at(data.test) }) }
  }
}

/** Keys that may stand in `algorithm` itself, and the section that they belong to. */
const shortKeys: Record<string, string> = {
  baseline: 'advantage',
  scale: 'advantage',
  estimator: 'advantage',
  clip_low: 'loss',
  clip_high: 'loss'
}

/** The complete algorithm of a run. Throws ALGORITHM_INVALID. */
export function algorithmOf(config: RunConfig): Algorithm {
  const options: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(config.algorithm)) {
    const section = Object.hasOwn(shortKeys, key) ? shortKeys[key] : undefined
    if (section === undefined) options[key] = { ...(options[key] as object | undefined), ...sectionOf(value) }
    else options[section] = { ...(options[section] as object | undefined), [key]: value }
    if (section === undefined && !isRecord(value)) options[key] = value
  }
  return resolveAlgorithm(options)
}

/** True where a run learns from the answers in its data instead of sampling. */
export const learnsFromGiven = (config: RunConfig): boolean =>
  config.data.completions === 'given' || isQLearning(config)

/** True where training needs a frozen model to measure against. Throws ALGORITHM_INVALID. */
export function needsReference(config: RunConfig): boolean {
  if (config.algorithm.preset === 'sft' || isQLearning(config)) return false
  return preferenceOf(config)?.preference.reference ?? algorithmOf(config).kl.coefficient > 0
}

/** The critic of a run, where its algorithm has one. Throws ALGORITHM_INVALID. */
export function criticOf(config: RunConfig): Reinforcement['value'] {
  if (config.algorithm.preset === 'sft' || isQLearning(config) || preferenceOf(config)) return undefined
  return reinforcementOf(config, algorithmOf(config)).value
}

const isRecord = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const sectionOf = (value: unknown): object => (isRecord(value) ? value : {})

function algorithmProblems(config: RunConfig): Problem[] {
  if (config.algorithm.preset === 'sft') {
    for (const key of ['choices', 'decoding_beta'] as const) {
      if (config.rollout[key] === undefined) continue
      return [{ path: `/rollout/${key}`, message: `sft learns from given answers; remove rollout.${key}` }]
    }
    const other = Object.keys(config.algorithm).find((key) => key !== 'preset')
    const wrong = { path: `/algorithm/${other}`, message: `sft has no ${other}; expected preset alone` }
    return [...(other ? [wrong] : []), ...unusedProblems(config, 'sft learns from given answers')]
  }
  const { preset } = config.algorithm
  const presets = [...presetNames, ...preferencePresetNames, 'ilql', 'sft']
  if (!presets.includes(preset)) {
    const near = nearestName(preset, presets)
    const message = `algorithm: unknown preset "${preset}"; did you mean "${near}"? (${presets.join(', ')})`
    return [{ path: '/algorithm/preset', message }]
  }
  try {
    if (qTrainingOf(config)) return qProblems(config)
    if (config.rollout.decoding_beta !== undefined) {
      const message = 'rollout.decoding_beta is for ilql, whose heads it decodes with; remove it'
      return [{ path: '/rollout/decoding_beta', message }]
    }
    if (preferenceOf(config)) {
      const found = preferenceProblem(config, learnsFromGiven(config))
      return [...(found ? [found] : []), ...unusedProblems(config, `${preset} learns from comparisons`)]
    }
    if (learnsFromGiven(config)) {
      const message = `${preset} learns from answers of its own; expected data.completions: sampled, or a preset of preferences, e.g. dpo`
      return [{ path: '/data/completions', message }]
    }
    const algorithm = algorithmOf(config)
    const exact = algorithm.advantage.estimator === 'exact'
    const problems = exact
      ? unusedProblems(config, 'the exact estimator samples nothing')
      : reinforcementProblems(config, algorithm)
    const { choices } = config.rollout
    if (choices === undefined) {
      const message =
        'the exact estimator needs a closed set of answers; expected rollout.choices, e.g. [positive, negative], ' +
        'or an algorithm that samples, e.g. grpo'
      return exact ? [{ path: '/algorithm/preset', message }, ...problems] : problems
    }
    if (!exact) {
      const message = 'rollout.choices is for the exact estimator; expected algorithm: { preset: exact }'
      return [{ path: '/rollout/choices', message }, ...problems]
    }
    return [...choicesProblems(choices), ...problems]
  } catch (error) {
    if (!isAdjudgeError(error)) throw error
    const other = inSection(error)
    if (other) return [other]
    const key = /"([\w.]+)"/.exec(error.message)?.[1] ?? ''
    return [{ path: `/algorithm/${key.replaceAll('.', '/')}`, message: error.message }]
  }
}

/** What a run of ilql has no use for. */
function qProblems(config: RunConfig): Problem[] {
  const { data, rollout } = config
  const problems = unusedProblems(config, 'ilql learns from judged answers in the data')
  if (data.completions === 'sampled') {
    const message = 'ilql learns from judged answers in the data; expected data.completions: given, or no such key'
    problems.push({ path: '/data/completions', message })
  }
  if (rollout.choices !== undefined) {
    const message = 'rollout.choices is for the exact estimator; remove it, as ilql learns from the data’s own answers'
    problems.push({ path: '/rollout/choices', message })
  }
  return problems
}

function choicesProblems(choices: string | string[]): Problem[] {
  try {
    Choices.parse(choices)
    return []
  } catch (error) {
    return [{ path: '/rollout/choices', message: (error as Error).message }]
  }
}

const limitsMoney = ({ money, providers = {} }: RunConfig['budget']): boolean =>
  money !== undefined || Object.values(providers).some((limits) => limits.money !== undefined)

/** A limit in money that can never be reached would be no limit. */
function priceProblems({ name, judge }: RewardConfig): Problem[] {
  if (!judge) return []
  const unknown = membersOf(judge).find(
    ({ judge: { provider, model = '', base_url: baseURL, price_table: table } }) =>
      !priceOf(provider, model, baseURL !== undefined, table)
  )
  if (!unknown) return []
  const { model = '' } = unknown.judge
  const message =
    `budget.money cannot be kept: the price of reward ${name}'s model ${model} is unknown; expected its price in ` +
    `judge.price_table, e.g. { ${model || 'model'}: { input: 0.25, output: 2 } } (dollars per million tokens), or ` +
    'budget.tokens in place of budget.money'
  return [{ path: '/budget/money', message }]
}

/** What a schema cannot say. */
function meaningProblems(config: RunConfig): Problem[] {
  const problems = algorithmProblems(config)
  const { model, data, rewards, algorithm, evaluation } = config
  if (model.lora && model.adapter !== undefined) {
    problems.push({
      path: '/model/adapter',
      message: 'model.adapter and model.lora are both given; expected one of them'
    })
  }
  if (evaluation.every > 0 && data.test === undefined) {
    problems.push({ path: '/evaluation/every', message: 'evaluation.every needs held-out items; expected data.test' })
  }
  if (algorithm.preset === 'sft' && rewards.length > 0) {
    problems.push({
      path: '/rewards',
      message: 'sft learns from the answers in the data and has no rewards; remove them'
    })
  }
  if (algorithm.preset !== 'sft' && rewards.length === 0 && !learnsFromGiven(config)) {
    problems.push({ path: '/rewards', message: 'rewards is missing; expected at least one judge, grader or function' })
  }
  if (limitsMoney(config.budget)) problems.push(...rewards.flatMap(priceProblems))
  const names = new Set<string>()
  rewards.forEach((reward, index) => {
    const given = (['judge', 'grader', 'function'] as const).filter((kind) => reward[kind] !== undefined)
    if (given.length !== 1) {
      const found = given.length === 0 ? 'nothing that scores' : given.join(' and ')
      problems.push({
        path: `/rewards/${index}`,
        message: `reward ${reward.name} has ${found}; expected exactly one of judge, grader, function`
      })
    }
    if (names.has(reward.name)) {
      problems.push({ path: `/rewards/${index}/name`, message: `reward name ${reward.name} is there twice` })
    }
    names.add(reward.name)
  })
  return problems
}
