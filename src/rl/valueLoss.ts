/** The critic's loss and its derivative for every token's value: what a value head's backward pass needs. */
import { Type, type Static } from '@sinclair/typebox'
import { AdjudgeError } from '../errors.js'
import { constantOf } from './aggregation.js'
import { callKernel, checkLength, covered, sameType, zeros } from './kernels.js'
import { preparedCall, rlCall, type Bound, type Device, type Prepared, type RlCall } from './prepared.js'
import { resolveRecord, type RecordKind } from './record.js'
import type { FloatArray, Partially } from './types.js'

const aggregations = [
  'token_mean',
  'token_sum',
  'sequence_mean_token_mean',
  'sequence_mean_token_sum',
  'constant'
] as const

/** TypeBox schema of a {@link ValueSpec} (camelCase keys; YAML writes the same keys in snake_case). */
export const valueSchema = Type.Object(
  {
    preset: Type.String({ description: 'Name of the preset that the record came from.' }),
    clip: Type.Union([Type.Number({ minimum: 0 }), Type.Null()], {
      description: 'How far a value may move from the old one before its error stops to fall; null = no clip.'
    }),
    coefficient: Type.Number({ minimum: 0, description: 'Of the squared error.' }),
    aggregation: Type.Unsafe<(typeof aggregations)[number]>(
      Type.Union(
        aggregations.map((name) => Type.Literal(name)),
        { description: 'How token losses become one number, counted over the whole optimizer batch.' }
      )
    ),
    constant: Type.Union([Type.Number({ exclusiveMinimum: 0 }), Type.Null()], {
      description: 'Divisor of `constant` per sequence; null = max_tokens of the rollout.'
    }),
    tokenEpsilon: Type.Number({ minimum: 0, description: 'Added to a sequence’s token count in its mean.' }),
    countEmptyRows: Type.Boolean({ description: 'Completions without a counted token count as sequences.' })
  },
  { additionalProperties: false }
)

/** A value loss, complete. Built by {@link resolveValue}. */
export type ValueSpec = Static<typeof valueSchema>

/** A preset's name (`ppo`, `trl`, `verl`, `openrlhf`), or a record that changes fields of one (default `ppo`). */
export type ValueOptions = string | Partially<ValueSpec> | Record<string, unknown>

const kind: RecordKind<typeof valueSchema> = {
  kind: 'value',
  schema: valueSchema,
  base: {
    preset: 'ppo',
    clip: 0.2,
    coefficient: 0.5,
    aggregation: 'token_mean',
    constant: null,
    tokenEpsilon: 0,
    countEmptyRows: false
  },
  presets: {
    // Schulman et al. 2017, arXiv 1707.06347; the clip is that of their code.
    ppo: {},
    // TRL's vf_coef of 0.1 times one half.
    trl: { coefficient: 0.05 },
    verl: { clip: 0.5, tokenEpsilon: 1e-8 },
    openrlhf: { clip: 0.5, tokenEpsilon: 1e-8 }
  }
}

/**
 * Completes and validates a value loss.
 * @throws AdjudgeError `ALGORITHM_INVALID` for an unknown preset, key or value, with the nearest valid name.
 */
export const resolveValue = (options: ValueOptions): ValueSpec => resolveRecord(kind, options)

export interface ValueLossInput {
  /** [tokens]: what the critic being trained gives for the state before each token; in units of the reward. */
  values: FloatArray
  /** [tokens]: values at the time of the rollout; needed for a clip. */
  oldValues?: FloatArray
  /** [tokens]: targets. */
  returns: FloatArray
  /** [tokens]: 1 = counts. Default: all. */
  mask?: Uint8Array
  /** [completions + 1]: boundaries of the completions' tokens. */
  cuSeqlens: Int32Array
  /** Most tokens of a completion: divisor of `aggregation: constant` where the record gives none. */
  maxTokens?: number
  /** Counted tokens and completions of the whole optimizer batch, where this call sees a part of it. */
  batchTokens?: number
  batchSequences?: number
  /** [tokens], element type of `values`: where the gradients go. Default: a new array. */
  out?: { valueGradients?: FloatArray }
}

export interface ValueLoss {
  loss: number
  /** [tokens]: d loss / d value, 0 where the mask is 0. */
  valueGradients: FloatArray
  metrics: {
    /** Share of counted tokens whose clipped error is the larger one (verl's name). */
    vf_clipfrac: number
    /** Means over counted tokens. */
    value: number
    return: number
    value_error: number
    /** 1 − var(return − value) / var(return); NaN where the returns do not vary. */
    explained_variance: number
    /** Counted tokens, and completions that count as sequences, of this call. */
    tokens: number
    sequences: number
  }
}

function bindLoss(spec: ValueSpec, input: ValueLossInput): Bound<FloatArray> {
  const { values, oldValues, returns, mask, cuSeqlens } = input
  const tokens = covered('cuSeqlens', cuSeqlens)
  checkLength('values', values, tokens, 'the last of cuSeqlens')
  checkLength('oldValues', oldValues, tokens, 'one per token')
  checkLength('returns', returns, tokens, 'one per token')
  checkLength('mask', mask, tokens, 'one per token')
  if (spec.clip !== null && !oldValues) {
    throw new AdjudgeError('ARGUMENT_INVALID', 'oldValues: needed for the clip; give them, or set "clip" to null')
  }
  const gradients = input.out?.valueGradients ?? zeros(tokens, values)
  return {
    values: [
      values,
      oldValues && sameType(oldValues, values),
      sameType(returns, values),
      mask,
      cuSeqlens,
      constantOf(spec, input.maxTokens),
      input.batchTokens,
      input.batchSequences,
      gradients
    ],
    output: gradients
  }
}

/** What the kernel writes, in its order. */
type ValueNumbers = readonly [
  loss: number,
  tokens: number,
  sequences: number,
  clipFraction: number,
  value: number,
  valueError: number,
  returns: number,
  explainedVariance: number
]

function prepareLoss(spec: ValueSpec, device: Device | undefined): Prepared<ValueLossInput, ValueLoss> {
  const kernel = callKernel((kernels) => kernels.rlValueLoss({ ...spec, device }))
  return preparedCall(
    kernel,
    8,
    (input: ValueLossInput) => bindLoss(spec, input),
    (valueGradients, values): ValueLoss => {
      const numbers = values as unknown as ValueNumbers
      return {
        loss: numbers[0],
        valueGradients,
        metrics: {
          vf_clipfrac: numbers[3],
          value: numbers[4],
          return: numbers[6],
          value_error: numbers[5],
          explained_variance: numbers[7],
          tokens: numbers[1],
          sequences: numbers[2]
        }
      }
    }
  )
}

/**
 * coefficient × aggregate of max((v − R)², (clip(v, v_old ± clip) − R)²), with its gradient (PPO's code, verl's
 * `compute_value_loss`, OpenRLHF's `ValueLoss`). Sums are in f64; element type of the result: that of `values`.
 * Losses of parts of an optimizer batch add up where `batchTokens` and `batchSequences` say what the whole has.
 * @throws AdjudgeError `ARGUMENT_INVALID` for a missing or non-finite input, or lengths that disagree; `BUFFER_OVERLAP`,
 *   `BUFFER_DETACHED`, `BUFFER_BUSY` for memory that cannot be used.
 */
export const valueLoss: RlCall<ValueSpec, ValueOptions, ValueLossInput, ValueLoss> = rlCall(prepareLoss, resolveValue)
