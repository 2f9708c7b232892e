/** An RL algorithm as data: one record, validated, composable in YAML; a preset is such a record with a name. */
import { Type, type Static } from '@sinclair/typebox'

const words = <const Names extends readonly string[]>(names: Names, description: string) =>
  Type.Unsafe<Names[number]>(
    Type.Union(
      names.map((name) => Type.Literal(name)),
      { description }
    )
  )

const bound = (description: string, options: { minimum?: number; exclusiveMinimum?: number } = {}) =>
  Type.Union([Type.Number(options), Type.Null()], { description })

const strict = { additionalProperties: false } as const

const whitening = Type.Object(
  {
    scale: Type.Boolean({ description: 'Divide by the standard deviation too, not only subtract the mean.' }),
    bessel: Type.Boolean({ description: 'Variance with n-1 (verl) or n (OpenRLHF).' }),
    epsilon: Type.Number({ minimum: 0 }),
    epsilonRule: words(['add', 'floor'], 'Variance + epsilon (verl), or at least epsilon (OpenRLHF).'),
    countEpsilon: Type.Number({ minimum: 0, description: 'Added to the divisor of each mean (verl: 1e-8).' })
  },
  strict
)

const advantage = Type.Object(
  {
    estimator: words(['sampled', 'exact'], 'Rewards of sampled completions, or the whole closed set of answers.'),
    baseline: words(
      ['group', 'batch', 'leave_one_out', 'length_weighted', 'none'],
      'What is subtracted: mean of the prompt’s group, of the batch, of the other members, length-weighted mean (OPO).'
    ),
    scale: words(
      ['group', 'batch', 'batch_advantage', 'none'],
      'What divides: deviation of the group’s or the batch’s rewards; batch_advantage centres and scales advantages.'
    ),
    epsilon: Type.Number({ minimum: 0, description: 'Added to the standard deviation.' }),
    bessel: Type.Boolean({ description: 'Standard deviation with n-1 (true) or n.' }),
    singleton: words(
      ['zero', 'reward'],
      'Advantage of the only scored member of a group: 0, or its raw reward (verl).'
    ),
    rewardClip: Type.Union([Type.Tuple([Type.Number(), Type.Number()]), Type.Null()], {
      description: 'Lowest and highest reward.'
    }),
    rewardClipPlace: words(['before_baseline', 'after_baseline'], 'TRL and OpenRLHF clip at different places.'),
    gamma: Type.Number({ minimum: 0, maximum: 1, description: 'Discount per token.' }),
    maskedReturn: words(
      ['skip', 'through'],
      'A return at a masked token: no step (verl), or one without reward (OpenRLHF).'
    ),
    whitening: Type.Union([whitening, Type.Null()], { description: 'Over all counted tokens of the batch.' }),
    exactWeights: words(
      ['softmax', 'raw'],
      'exact: probabilities normalised over the set, or exp(log-prob) as they are.'
    )
  },
  strict
)

const loss = Type.Object(
  {
    kind: words(['policy_gradient', 'clip'], 'Minus A · log-prob, or the clipped importance ratio of PPO.'),
    clipLow: bound('The ratio is kept above 1 - clip_low; null = no bound.', { minimum: 0 }),
    clipHigh: bound('The ratio is kept below 1 + clip_high; null = no bound.', { minimum: 0 }),
    dualClip: bound('With a negative advantage the loss is at most dual_clip · |A|.', { exclusiveMinimum: 1 }),
    ratioCap: bound('Upper bound of the unclipped ratio, for both signs (TRL’s delta).', { exclusiveMinimum: 0 }),
    logRatioLow: bound('Lower bound of the log ratio.'),
    logRatioHigh: bound('Upper bound of the log ratio.'),
    ratioGradient: words(
      ['joint', 'own_token'],
      'A sequence ratio is differentiated as it is, or each token through its own log-prob (verl’s GSPO).'
    )
  },
  strict
)

const kl = Type.Object(
  {
    kind: words(['k1', 'k2', 'k3', 'absolute'], 'Estimator of KL(policy || reference) at a token.'),
    coefficient: Type.Number({ minimum: 0 }),
    inReward: Type.Boolean({ description: 'Taken off the reward instead of added to the loss.' }),
    perToken: Type.Boolean({ description: 'In the reward: token by token (returns), or summed per completion.' }),
    gradient: words(
      ['value', 'unbiased', 'unbiased_ratio'],
      'Of the estimate itself; log-prob difference (verl’s `+`); that times the ratio, at most 10 (OpenRLHF).'
    ),
    ratioWeighted: Type.Boolean({ description: 'Estimate times importance ratio (TRL’s use_bias_correction_kl).' }),
    differenceLow: bound('k3: lower bound of reference - policy log-prob.'),
    differenceHigh: bound('k3: upper bound of reference - policy log-prob.'),
    valueLimit: bound('Largest magnitude of an estimate (verl: of k3 only).', { exclusiveMinimum: 0 })
  },
  strict
)

/** TypeBox schema of an {@link Algorithm} (camelCase keys; YAML writes the same keys in snake_case). */
export const algorithmSchema = Type.Object(
  {
    preset: Type.String({ description: 'Name of the preset that the record came from.' }),
    advantage,
    ratio: words(
      ['token', 'sequence', 'sequence_sum'],
      'Importance ratio: per token, exp of the mean, exp of the sum.'
    ),
    loss,
    kl,
    entropy: Type.Object(
      {
        coefficient: Type.Number({ description: 'Bonus; subtracted from the loss.' }),
        aggregation: words(['token_mean', 'as_loss'], 'Mean over the batch’s tokens (TRL), or as the loss (verl).')
      },
      strict
    ),
    aggregation: words(
      ['token_mean', 'token_sum', 'sequence_mean_token_mean', 'sequence_mean_token_sum', 'constant', 'sequence_mean'],
      'How token losses become one number, counted over the whole optimizer batch.'
    ),
    constant: bound('Divisor of `constant` per sequence (Dr. GRPO); null = max_tokens of the rollout.', {
      exclusiveMinimum: 0
    }),
    tokenEpsilon: Type.Number({ minimum: 0, description: 'Added to a sequence’s token count in its mean.' }),
    countEmptyRows: Type.Boolean({ description: 'Completions without a counted token count as sequences (TRL).' })
  },
  strict
)

/** An RL algorithm, complete. Built by `resolveAlgorithm`; every field is described in {@link algorithmSchema}. */
export type Algorithm = Static<typeof algorithmSchema>

/** Some fields of a record, at any depth; arrays and null are whole values. */
export type Partially<Type> = {
  [Key in keyof Type]?: NonNullable<Type[Key]> extends readonly unknown[]
    ? Type[Key]
    : NonNullable<Type[Key]> extends object
      ? Partially<NonNullable<Type[Key]>> | Extract<Type[Key], null>
      : Type[Key]
}

/** What a user gives: a preset's name, or a record that changes fields of a preset (default `grpo`). */
export type AlgorithmOptions = string | Partially<Algorithm> | Record<string, unknown>

/** One of the two types that all floating arrays of a call share. */
export type FloatArray = Float32Array | Float64Array
