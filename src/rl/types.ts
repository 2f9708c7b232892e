/** An RL algorithm as data: one record, validated, composable in YAML; a preset is such a record with a name. */
import { Type, type Static } from '@sinclair/typebox'
import { bound, strict, words } from './schema.js'

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
    estimator: words(
      ['sampled', 'exact', 'gae'],
      'Rewards of sampled completions, the whole closed set of answers, or GAE with the values of a critic.'
    ),
    multiObjective: words(
      ['sum_then_normalize', 'normalize_then_sum'],
      'Several reward functions: one weighted sum, or each first normalised by itself (GDPO).'
    ),
    baseline: words(
      ['group', 'batch', 'leave_one_out', 'length_weighted', 'second_best', 'optimal_token', 'given', 'none'],
      'What is subtracted: mean of the prompt’s group, of the batch, of the other members, length-weighted mean (OPO); ' +
        'second_best: only the best member learns, from its lead over the second (pass@k); optimal_token: the baseline ' +
        'of least variance at each token; given: `baselines` of the input (ReMax: reward of the greedy completion).'
    ),
    scale: words(
      ['group', 'batch', 'batch_advantage', 'nonzero', 'none'],
      'What divides: deviation of the group’s or the batch’s rewards; batch_advantage centres and scales advantages; ' +
        'nonzero: share of the rewards that are not 0, times f_norm (GPG).'
    ),
    epsilon: Type.Number({
      minimum: 0,
      description: 'Added to the standard deviation; of optimal_token, to the sum of weights.'
    }),
    fNorm: Type.Number({ exclusiveMinimum: 0, description: 'Normaliser of GPG.' }),
    bessel: Type.Boolean({ description: 'Standard deviation with n-1 (true) or n.' }),
    singleton: words(
      ['zero', 'reward', 'error'],
      'Advantage of the only scored member of a group: 0, its raw reward (verl), or BATCH_TOO_SMALL.'
    ),
    rewardClip: Type.Union([Type.Tuple([Type.Number(), Type.Number()]), Type.Null()], {
      description: 'Lowest and highest reward.'
    }),
    rewardClipPlace: words(['before_baseline', 'after_baseline'], 'TRL and OpenRLHF clip at different places.'),
    gamma: Type.Number({ minimum: 0, maximum: 1, description: 'Discount per token.' }),
    lambda: Type.Number({ minimum: 0, maximum: 1, description: 'GAE: weight of returns over one-step differences.' }),
    alignment: words(
      ['position', 'counted'],
      'optimal_token compares tokens of the same place, or after as many counted tokens (several turns).'
    ),
    zeroTail: Type.Boolean({
      description: 'optimal_token: no baseline where the longest completion of a group has none to be compared with.'
    }),
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

const gammaWeight = Type.Object(
  {
    shapePositive: Type.Number({ description: 'k for A >= 0 (TRL: vespo_k_pos).' }),
    ratePositive: Type.Number({ minimum: 0, description: 'lambda for A >= 0.' }),
    shapeNegative: Type.Number({ description: 'k for A < 0.' }),
    rateNegative: Type.Number({ minimum: 0, description: 'lambda for A < 0.' }),
    maskedImportance: Type.Boolean({
      description: 'Importance weights of tokens that the mask leaves out are in w too (TRL; they must then be finite).'
    })
  },
  { ...strict, description: 'vespo: a sequence of ratio w weighs e^lambda · w^k · e^(-lambda · w).' }
)

const covariance = Type.Object(
  {
    share: Type.Number({ exclusiveMinimum: 0, maximum: 1, description: 'Of the counted tokens; at least one.' }),
    low: Type.Number({ description: 'clip_cov draws among tokens whose covariance is above this.' }),
    high: Type.Number({ description: 'And below this.' }),
    klCoefficient: Type.Number({ minimum: 0, description: 'kl_cov: times |log-prob - old log-prob|.' })
  },
  { ...strict, description: 'clip_cov, kl_cov: tokens singled out by (A - mean A)(log-prob - mean log-prob).' }
)

const loss = Type.Object(
  {
    kind: words(
      ['policy_gradient', 'clip', 'cispo', 'sapo', 'vespo', 'gmpo', 'dppo_tv', 'dppo_kl', 'dro', 'clip_cov', 'kl_cov'],
      'Minus A · log-prob, plain or weighted by a constant (cispo, vespo, dppo), the clipped ratio of PPO, or a ' +
        'smooth (sapo), quadratic (dro), geometric (gmpo) or covariance-guided form of it.'
    ),
    clipLow: bound(
      'The ratio is kept above 1 - clip_low (gmpo: its log above -clip_low; dppo: largest change); null = no bound.',
      { minimum: 0 }
    ),
    clipHigh: bound(
      'The ratio is kept below 1 + clip_high (gmpo: its log below clip_high; dppo: largest change); null = no bound.',
      { minimum: 0 }
    ),
    dualClip: bound('With a negative advantage the loss is at most dual_clip · |A|.', { exclusiveMinimum: 1 }),
    ratioCap: bound(
      'Upper bound of the unclipped ratio, for both signs (TRL’s delta); of the constant weight in cispo and dppo.',
      { exclusiveMinimum: 0 }
    ),
    logRatioLow: bound('Lower bound of the log ratio.'),
    logRatioHigh: bound('Upper bound of the log ratio.'),
    ratioGradient: words(
      ['joint', 'own_token'],
      'A sequence ratio is differentiated as it is, or each token through its own log-prob (verl’s GSPO).'
    ),
    keepRatioLow: bound('A token whose ratio is below does not count at all; null = all count.', { minimum: 0 }),
    keepRatioHigh: bound('A token whose ratio is above does not count at all; null = all count.', {
      exclusiveMinimum: 0
    }),
    offPolicyThreshold: bound(
      'With a negative advantage a sequence teaches only where its mean of rollout - policy log-prob is at most this.'
    ),
    temperaturePositive: Type.Number({ exclusiveMinimum: 0, description: 'sapo: tau for A > 0.' }),
    temperatureNegative: Type.Number({ exclusiveMinimum: 0, description: 'sapo: tau for A <= 0.' }),
    gammaWeight,
    quadraticCoefficient: Type.Number({ exclusiveMinimum: 0, description: 'dro: beta / 2 · (log ratio)² is added.' }),
    covariance
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
        aggregation: words(['token_mean', 'as_loss'], 'Mean over the batch’s tokens (TRL), or as the loss (verl).'),
        topQuantile: Type.Number({
          exclusiveMinimum: 0,
          maximum: 1,
          description: 'Share of tokens, those of highest entropy, that the policy term and the bonus look at; 1 = all.'
        })
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
