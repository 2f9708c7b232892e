// Advantages: the peers' estimators and parameters as our records.
import { boundaries, counted, flat, groupsOf, maskOf } from './rl-cases.mjs'

const verlRules = { singleton: 'reward', maskedReturn: 'skip', scale: 'none' }
const verlWhitening = { scale: true, bessel: true, epsilon: 1e-8, epsilonRule: 'add', countEpsilon: 1e-8 }
const openrlhfWhitening = { scale: true, bessel: false, epsilon: 1e-8, epsilonRule: 'floor', countEpsilon: 0 }

const verlEstimators = {
  grpo: (p) => ({
    ...verlRules,
    baseline: 'group',
    scale: p.norm_adv_by_std_in_grpo ? 'group' : 'none',
    epsilon: p.epsilon
  }),
  // The same as grpo, computed in float32 there.
  grpo_vectorized: (p) => verlEstimators.grpo(p),
  grpo_passk: (p) => ({ ...verlEstimators.grpo(p), baseline: 'second_best', singleton: 'error' }),
  gpg: (p) => ({ ...verlRules, baseline: 'group', scale: 'nonzero', fNorm: p.f_norm }),
  gdpo: (p) => ({
    ...verlRules,
    multiObjective: 'normalize_then_sum',
    scale: 'group',
    epsilon: p.epsilon,
    whitening: verlWhitening
  }),
  gae: (p) => ({
    ...verlRules,
    estimator: 'gae',
    baseline: 'none',
    gamma: p.gamma,
    lambda: p.lam,
    whitening: verlWhitening
  }),
  remax: () => ({ ...verlRules, baseline: 'given' }),
  optimal_token_baseline: (p) => ({
    ...verlRules,
    baseline: 'optimal_token',
    epsilon: p.epsilon,
    zeroTail: p.handle_zero_tail
  }),
  tir_optimal_token_baseline: (p) => ({ ...verlEstimators.optimal_token_baseline(p), alignment: 'counted' }),
  rloo: () => ({ ...verlRules, baseline: 'leave_one_out' }),
  rloo_vectorized: () => ({ ...verlRules, baseline: 'leave_one_out', singleton: 'zero' }),
  opo: () => ({ ...verlRules, baseline: 'length_weighted' }),
  reinforce_plus_plus_baseline: () => ({
    ...verlRules,
    baseline: 'group',
    maskedReturn: 'through',
    whitening: verlWhitening
  }),
  reinforce_plus_plus: (p) => ({ ...verlRules, baseline: 'none', gamma: p.gamma, whitening: verlWhitening })
}

// Their rewards may lie on any token: an outcome of 0, and what each token gives as a negative penalty.
const denseEstimators = ['reinforce_plus_plus', 'gae', 'remax', 'optimal_token_baseline', 'tir_optimal_token_baseline']

function verlCase({ parameters, inputs, outputs }) {
  const rule = verlEstimators[parameters.estimator]?.(parameters)
  if (!rule) return undefined
  const dense = denseEstimators.includes(parameters.estimator)
  const rows = inputs.token_level_rewards ?? inputs.rewards_per_function
  const { order, groupOffsets } = groupsOf(inputs.group_index ?? rows.map((_, row) => row))
  const place = (values) => order.map((row) => values[row])
  return ({ resolveAlgorithm, advantages }) => {
    const algorithm = resolveAlgorithm({ preset: 'grpo', advantage: rule, kl: { perToken: true, inReward: true } })
    const mask = maskOf(place(inputs.mask))
    const sums = place(rows).map((row) => row.reduce((sum, reward) => sum + reward, 0))
    const cuSeqlens = boundaries(rows.length, inputs.mask[0].length)
    const tokens = (name) => inputs[name] && flat(place(inputs[name]))
    const several = inputs.rewards_per_function !== undefined
    const input = {
      rewards: several ? flat(place(rows)) : Float64Array.from(sums, (value) => (dense ? 0 : value)),
      weights: several ? (parameters.reward_weights ?? rows[0].map(() => 1)) : undefined,
      groupOffsets,
      cuSeqlens,
      mask,
      penalties: dense ? flat(place(rows)).map((reward) => -reward) : undefined,
      baselines: inputs.reward_baselines && Float64Array.from(place(inputs.reward_baselines)),
      values: tokens('values'),
      logProbs: tokens('old_log_probs'),
      sumPiSquared: tokens('sum_pi_squared'),
      importanceWeights: tokens('rollout_is_weights')
    }
    if (outputs.raises) return { values: [['raises', raises(() => advantages(algorithm, input)), 1]] }
    const result = advantages(algorithm, input)
    const advantage = result.perToken ? result.advantages : spread(result.advantages, cuSeqlens)
    const values = [['advantages', counted(advantage, mask), counted(place(outputs.advantages).flat(), mask)]]
    if (result.returns) {
      values.push(['returns', counted(result.returns, mask), counted(place(outputs.returns).flat(), mask)])
    }
    return { values }
  }
}

function raises(call) {
  try {
    call()
    return 0
  } catch {
    return 1
  }
}

const spread = (values, cuSeqlens) => {
  const tokens = new Float64Array(cuSeqlens.at(-1))
  values.forEach((value, row) => tokens.fill(value, cuSeqlens[row], cuSeqlens[row + 1]))
  return tokens
}

function adjacentGroups(rows, size) {
  return Int32Array.from({ length: rows / size + 1 }, (_, group) => group * size)
}

function trlRule(parameters) {
  const clip = parameters.reward_clip_range
  if (parameters.multi_objective_aggregation === 'normalize_then_sum') {
    return { multiObjective: 'normalize_then_sum', scale: 'batch_advantage' }
  }
  if (parameters.estimator === 'grpo') return { scale: parameters.scale_rewards }
  const scale = parameters.normalize_advantages ? 'batch_advantage' : 'none'
  return { baseline: 'leave_one_out', scale, rewardClip: clip ?? null }
}

function trlCase({ parameters, inputs, outputs }) {
  return ({ resolveAlgorithm, advantages, maskTruncated }) => {
    const rows = inputs.rewards_per_function
    const beta = parameters.beta ?? 0
    const kl = inputs.ref_log_probs ? { kind: 'k1', coefficient: beta, inReward: true } : {}
    const algorithm = resolveAlgorithm({ preset: 'grpo', advantage: trlRule(parameters), kl })
    const tokens = inputs.mask && {
      cuSeqlens: boundaries(rows.length, inputs.mask[0].length),
      mask: maskOf(inputs.mask),
      logProbs: flat(inputs.old_log_probs),
      referenceLogProbs: flat(inputs.ref_log_probs)
    }
    const result = advantages(algorithm, {
      rewards: flat(rows),
      weights: parameters.reward_weights,
      groupOffsets: adjacentGroups(rows.length, parameters.num_generations),
      ...tokens
    })
    const values = [['advantages', result.advantages, outputs.advantages]]
    if (inputs.truncated) values.push(['mask', ...truncatedMasks(maskTruncated, inputs, outputs)])
    const expected = outputs.metrics
    const metrics = []
    // TRL reports the reward before clip and KL; its standard deviation is that of the whole batch here as there.
    if (!clipped(parameters) && beta === 0) {
      for (const name of ['reward', 'reward_std']) {
        if (name in expected) metrics.push([name, result.metrics[name], expected[name]])
      }
    }
    return { values, metrics }
  }
}

/** What is left of the mask here and there, the padding of the peer's rows taken away. */
function truncatedMasks(maskTruncated, { completion_lengths: lengths, truncated }, outputs) {
  const cuSeqlens = Int32Array.from(
    [0, ...lengths],
    (
      (total) => (length) =>
        (total += length)
    )(0)
  )
  const there = outputs.mask.flatMap((row, index) => row.slice(0, lengths[index]))
  return [maskTruncated(cuSeqlens, truncated), there]
}

const clipped = (parameters) => Boolean(parameters.reward_clip_range)

const openrlhfEstimators = {
  reinforce: { baseline: 'none', scale: 'none', whitening: openrlhfWhitening },
  reinforce_baseline: { baseline: 'group', scale: 'none', whitening: openrlhfWhitening },
  rloo: { baseline: 'leave_one_out', scale: 'none' },
  group_norm: { baseline: 'group', scale: 'group', epsilon: 1e-9 },
  dr_grpo: { baseline: 'group', scale: 'none' },
  gae: { estimator: 'gae', baseline: 'none', scale: 'none', whitening: openrlhfWhitening },
  flash_reinforce: { baseline: 'batch', scale: 'none' }
}

function openrlhfCase({ parameters, inputs, outputs }) {
  const rule = openrlhfEstimators[parameters.estimator]
  // Leave-one-out of a group of one is NaN there, and its command line forbids it; here the advantage is 0.
  const meaningless = parameters.estimator === 'rloo' && parameters.n_samples_per_prompt === 1
  if (meaningless) return 'a group of one: the peer gives NaN, here the advantage is 0'
  if (!rule) return undefined
  return ({ resolveAlgorithm, advantages }) => {
    const rows = inputs.rewards.length
    const order = Array.from({ length: rows }, (_, row) => row)
    inputs.prompt_order?.forEach((place, row) => (order[place] = row))
    const place = (values) => order.map((row) => values[row])
    const mask = maskOf(place(inputs.mask))
    const whitening = rule.whitening && { ...rule.whitening, scale: !parameters.no_std_norm }
    const algorithm = resolveAlgorithm({
      preset: 'grpo',
      advantage: {
        ...rule,
        whitening: whitening ?? null,
        gamma: parameters.gamma,
        lambda: parameters.lambd ?? 1,
        rewardClip: parameters.clip_range ?? null,
        rewardClipPlace: 'after_baseline'
      },
      kl: { perToken: true, inReward: true }
    })
    const cuSeqlens = boundaries(rows, inputs.mask[0].length)
    const result = advantages(algorithm, {
      rewards: flat(place(inputs.rewards)),
      groupOffsets: adjacentGroups(rows, parameters.n_samples_per_prompt),
      cuSeqlens,
      mask,
      penalties: inputs.kl && flat(place(inputs.kl)).map((kl) => kl * parameters.kl_coef),
      values: inputs.values && flat(place(inputs.values))
    })
    const tokens = result.perToken ? result.advantages : spread(result.advantages, cuSeqlens)
    const values = [['advantages', counted(tokens, mask), counted(place(outputs.advantages).flat(), mask)]]
    if (result.returns) {
      values.push(['returns', counted(result.returns, mask), counted(place(outputs.returns).flat(), mask)])
    }
    return { values }
  }
}

/** A function (library) → { values, metrics }; why a case is not compared; or undefined where it is not built. */
export function mapAdvantageCase(golden) {
  if (golden.source.startsWith('verl')) return verlCase(golden)
  if (golden.source.startsWith('trl')) return trlCase(golden)
  return openrlhfCase(golden)
}
