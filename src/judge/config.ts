/** A judge as it stands in a configuration file: snake_case, paths relative to the file, keys by environment variable. */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { Type, type Static, type TNumber } from '@sinclair/typebox'
import { AdjudgeError } from '../errors.js'
import { aggregates } from './compose/aggregate.js'
import type { JudgeSpec } from './compose/options.js'
import { byKeys, checkDocument } from './document.js'
import { ModeSchema } from './modes/index.js'
import { transports, type JudgeOptions } from './options.js'
import { rewardShapes } from './providers/http/shapes.js'
import { serverPresetNames } from './providers/presets.js'
import { openaiApis } from './providers/shared.js'
import { RubricSchema } from './rubric.js'
import { priorities } from './schedule/queue.js'
import { secretNamed } from './secrets.js'

const positive = { exclusiveMinimum: 0 }

/** What concerns the calls, of a judge and of its fallback. */
const callFields = {
  model: Type.Optional(Type.String({ minLength: 1 })),
  name: Type.Optional(Type.String({ minLength: 1 })),
  base_url: Type.Optional(Type.String({ minLength: 1 })),
  api_key_env: Type.Optional(Type.String({ description: 'the name of an environment variable' })),
  api: Type.Optional(Type.Union(openaiApis.map((name) => Type.Literal(name)))),
  preset: Type.Optional(Type.Union(serverPresetNames.map((name) => Type.Literal(name)))),
  api_version: Type.Optional(Type.String({ minLength: 1, description: 'Azure' })),
  shape: Type.Optional(Type.Union(rewardShapes.map((name) => Type.Literal(name)))),
  onnx: Type.Optional(
    Type.Object(
      {
        template: Type.Optional(
          Type.Object({ first: Type.String(), second: Type.Optional(Type.String()) }, { additionalProperties: false })
        ),
        score: Type.Optional(
          Type.Union([
            Type.Literal('logit'),
            Type.Literal('sigmoid'),
            Type.Literal('expectation'),
            Type.Record(Type.String(), Type.Number())
          ])
        ),
        threads: Type.Optional(Type.Integer(positive)),
        max_tokens: Type.Optional(Type.Integer(positive))
      },
      { additionalProperties: false }
    )
  ),
  keep_alive: Type.Optional(Type.Union([Type.String(), Type.Number()])),
  extra_body: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  transport: Type.Optional(Type.Union(transports.map((name) => Type.Literal(name)))),
  batch: Type.Optional(
    Type.Object(
      {
        size: Type.Optional(Type.Integer({ ...positive, description: 'requests' })),
        linger: Type.Optional(Type.Number({ ...positive, description: 'milliseconds' })),
        poll: Type.Optional(Type.Number({ ...positive, description: 'milliseconds' }))
      },
      { additionalProperties: false }
    )
  ),
  concurrency: Type.Optional(Type.Integer(positive)),
  requests_per_minute: Type.Optional(Type.Number(positive)),
  tokens_per_minute: Type.Optional(Type.Number(positive)),
  priority: Type.Optional(Type.Union(priorities.map((name) => Type.Literal(name)))),
  hedge: Type.Optional(Type.Number({ minimum: 0, maximum: 1, description: 'share of all calls' })),
  timeout: Type.Optional(Type.Number({ ...positive, description: 'milliseconds per call' })),
  deadline: Type.Optional(Type.Number({ ...positive, description: 'milliseconds per verdict' })),
  attempts: Type.Optional(Type.Integer(positive)),
  temperature: Type.Optional(Type.Number({ minimum: 0 })),
  max_tokens: Type.Optional(Type.Integer(positive)),
  seed: Type.Optional(Type.Integer()),
  log_probs: Type.Optional(Type.Union([Type.Literal('auto'), Type.Literal('never')])),
  price_table: Type.Optional(
    Type.Record(
      Type.String(),
      Type.Object(
        { input: Type.Number({ minimum: 0 }), output: Type.Number({ minimum: 0 }) },
        { additionalProperties: false }
      )
    )
  )
}

const chatProviders = [
  Type.Literal('openai'),
  Type.Literal('anthropic'),
  Type.Literal('ollama'),
  Type.Literal('openai_compatible'),
  Type.Literal('native'),
  Type.Literal('http'),
  Type.Literal('onnx')
]

const closed = { additionalProperties: false }
const limitFields = {
  money: Type.Optional(Type.Number({ ...positive, description: 'US dollars' })),
  tokens: Type.Optional(Type.Number({ ...positive, description: 'of prompts and replies' }))
}

export const BudgetSchema = Type.Object(
  {
    ...limitFields,
    /** `day`: from midnight to midnight, UTC, over all processes that use the ledger. */
    per: Type.Optional(Type.Union([Type.Literal('run'), Type.Literal('day')])),
    /** By provider, beside the limits of all together. */
    providers: Type.Optional(Type.Record(Type.String(), Type.Object(limitFields, closed)))
  },
  closed
)

const ScaleSchema = Type.Object({ low: Type.Number(), high: Type.Number() }, closed)
const AggregateSchema = Type.Union(aggregates.map((name) => Type.Literal(name)))

const share = (): TNumber => Type.Number({ minimum: 0, maximum: 1 })

/** What every judge may have, one or many. */
const commonFields = {
  name: Type.Optional(Type.String({ minLength: 1 })),
  scale: Type.Optional(ScaleSchema),
  ledger: Type.Optional(Type.String({ minLength: 1, description: 'a folder' })),
  budget: Type.Optional(BudgetSchema),
  canaries: Type.Optional(share())
}

const SingleSchema = Type.Object(
  {
    provider: Type.Union([...chatProviders, Type.Literal('function')]),
    ...callFields,
    ...commonFields,
    rubric: Type.Optional(Type.Union([Type.String({ minLength: 1 }), RubricSchema])),
    function: Type.Optional(Type.String({ minLength: 1, description: 'a module file' })),
    mode: Type.Optional(ModeSchema),
    reasoning: Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('before')])),
    prompt: Type.Optional(Type.Object({ system: Type.Optional(Type.String()), user: Type.String() }, closed)),
    empty_answer: Type.Optional(Type.Union([Type.Literal('low'), Type.Literal('unscored')])),
    votes: Type.Optional(Type.Integer(positive)),
    aggregate: Type.Optional(AggregateSchema),
    quorum: Type.Optional(Type.Integer(positive)),
    fallback: Type.Optional(Type.Object({ provider: Type.Union(chatProviders), ...callFields }, closed))
  },
  closed
)

export const JudgeConfigSchema = Type.Recursive(
  (Member) =>
    Type.Union(
      [
        SingleSchema,
        Type.Object(
          {
            panel: Type.Array(Member, { minItems: 2 }),
            ...commonFields,
            aggregate: Type.Optional(AggregateSchema),
            weights: Type.Optional(Type.Array(Type.Number(positive))),
            quorum: Type.Optional(Type.Integer(positive))
          },
          closed
        ),
        Type.Object(
          {
            cascade: Type.Array(Member, { minItems: 2 }),
            ...commonFields,
            escalate: Type.Optional(
              Type.Object(
                {
                  spread: Type.Optional(Type.Number({ minimum: 0 })),
                  mass: Type.Optional(share()),
                  confidence: Type.Optional(share()),
                  disagreement: Type.Optional(Type.Number({ minimum: 0 })),
                  audit: Type.Optional(share()),
                  least_agreement: Type.Optional(share())
                },
                closed
              )
            )
          },
          closed
        )
      ],
      byKeys
    ),
  { $id: 'Judge' }
)

export type SingleJudgeConfig = Static<typeof SingleSchema>
export type JudgeConfig = Static<typeof JudgeConfigSchema>

/** The judges that are asked in the end, each with where it stands in `config` (a JSON pointer). */
export function membersOf(config: JudgeConfig, path = ''): { path: string; judge: SingleJudgeConfig }[] {
  const within = (members: readonly JudgeConfig[], key: string) =>
    members.flatMap((member, index) => membersOf(member, `${path}/${key}/${index}`))
  if ('panel' in config) return within(config.panel, 'panel')
  if ('cascade' in config) return within(config.cascade, 'cascade')
  return [{ path, judge: config as SingleJudgeConfig }]
}

const names: Partial<Record<keyof SingleJudgeConfig, keyof JudgeOptions>> = {
  base_url: 'baseURL',
  api_version: 'apiVersion',
  keep_alive: 'keepAlive',
  extra_body: 'extraBody',
  requests_per_minute: 'requestsPerMinute',
  tokens_per_minute: 'tokensPerMinute',
  max_tokens: 'maxTokens',
  log_probs: 'logProbs',
  empty_answer: 'emptyAnswer',
  price_table: 'priceTable'
}

/** Options for `createJudge`. `folder` is where the configuration file lies. Throws JUDGE_INVALID on an unset key. */
export function judgeOptionsFrom(config: SingleJudgeConfig, folder: string): JudgeOptions
export function judgeOptionsFrom(config: JudgeConfig, folder: string): JudgeSpec
export function judgeOptionsFrom(config: JudgeConfig, folder: string): JudgeSpec {
  if ('panel' in config) return { ...config, ...shared(config, folder), panel: nested(config.panel, folder) }
  if ('cascade' in config) {
    const { least_agreement: leastAgreement, ...escalate } = config.escalate ?? {}
    return {
      ...config,
      ...shared(config, folder),
      escalate: { ...escalate, ...(leastAgreement === undefined ? {} : { leastAgreement }) },
      cascade: nested(config.cascade, folder)
    }
  }
  return singleOptionsFrom(config as SingleJudgeConfig, folder)
}

const nested = (members: readonly JudgeConfig[], folder: string): JudgeSpec[] =>
  members.map((member) => judgeOptionsFrom(member, folder))

const shared = ({ ledger }: { ledger?: string }, folder: string): { ledger?: string } =>
  ledger === undefined ? {} : { ledger: resolve(folder, ledger) }

function singleOptionsFrom(config: SingleJudgeConfig, folder: string): JudgeOptions {
  const options: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(config)) {
    if (value === undefined || key === 'api_key_env') continue
    options[names[key as keyof SingleJudgeConfig] ?? key] = value
  }
  for (const key of ['rubric', 'function', 'ledger'] as const) {
    if (typeof options[key] === 'string') options[key] = resolve(folder, options[key])
  }
  if (config.fallback) options.fallback = singleOptionsFrom(config.fallback, folder)
  if (config.onnx?.max_tokens !== undefined) {
    const { max_tokens: maxTokens, ...onnx } = config.onnx
    options.onnx = { ...onnx, maxTokens }
  }
  const inProcess = config.provider === 'native' || config.provider === 'onnx'
  if (inProcess && config.model !== undefined) options.model = resolve(folder, config.model)
  if (config.api_key_env !== undefined) {
    const apiKey = secretNamed(config.api_key_env)
    if (!apiKey) {
      throw new AdjudgeError('JUDGE_INVALID', `judge: api_key_env names ${config.api_key_env}, which is not set`)
    }
    options.apiKey = apiKey
  }
  return options as unknown as JudgeOptions
}

/** Reads a judge from a file of its own. Throws FILE_UNREADABLE, or JUDGE_INVALID naming file, line and nearest key. */
export function loadJudge(path: string): JudgeSpec {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new AdjudgeError('FILE_UNREADABLE', `judge ${path}: cannot be read (${(cause as Error).message})`, { cause })
  }
  const config = checkDocument(JudgeConfigSchema, text, { file: path, code: 'JUDGE_INVALID' })
  return judgeOptionsFrom(config, dirname(resolve(path)))
}
