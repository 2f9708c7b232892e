/** An RL algorithm as data: a record, validated, composable in YAML; a preset is one such record with a name. */

export interface Algorithm {
  advantage: {
    /** How rewards become advantages. `exact`: the whole closed set of answers, weighted by its probabilities. */
    estimator: 'group' | 'rloo' | 'reinforce' | 'reinforce_plus_plus' | 'reinforce_plus_plus_baseline' | 'exact'
    /** What is subtracted: mean of the prompt's group, of the batch, leave-one-out mean, or nothing. */
    baseline: 'group' | 'batch' | 'leave_one_out' | 'none'
    /** What is divided by. */
    scale: 'group' | 'batch' | 'none'
    /** Added to the standard deviation. */
    epsilon: number
    /** Standard deviation with n-1 (true) or n. */
    bessel: boolean
    /** Advantage of the only scored member of a group: 0, or its raw reward (verl). */
    singleton: 'zero' | 'reward'
  }
  /** Importance ratio per token or per sequence (GSPO). */
  ratio: 'token' | 'sequence'
  loss: { kind: 'policy_gradient' | 'clip'; clipLow: number; clipHigh: number; dualClip: number | null }
  kl: {
    kind: 'k1' | 'k2' | 'k3'
    coefficient: number
    /** Taken off the reward instead of added to the loss. */ inReward: boolean
  }
  entropy: { coefficient: number }
  /** How token losses become one number, counted over the whole optimizer batch. */
  aggregation: 'token_mean' | 'sequence_mean_token_mean' | 'sequence_mean_token_sum' | 'constant'
  /** Divisor of `constant` per sequence (Dr. GRPO: the most tokens of a completion); null = maxTokens of the rollout. */
  constant: number | null
}
