// KL in the reward, the adaptive coefficient, and the whole vocabulary's KL where only sampled tokens are at hand;
// the estimators and KL as a loss are in rl-losses.mjs.
import { boundaries, counted, flat, maskOf } from './rl-cases.mjs'
import { mapKlCase as mapEstimatorCase } from './rl-losses.mjs'

const verlKinds = { kl: 'k1', low_var_kl: 'k3' }

function verlRewardCase({ parameters, inputs, outputs }) {
  return ({ AdaptiveKl, klReward, resolveAlgorithm }) => {
    const kind = verlKinds[parameters.estimator]
    const limits = { differenceLow: -20, differenceHigh: 20, valueLimit: kind === 'k3' ? 10 : null }
    const coefficient = parameters.init_kl_coef ?? parameters.kl_coef
    const rows = inputs.mask.length
    const result = klReward(resolveAlgorithm({ kl: { kind, ...limits, coefficient } }), {
      tokenRewards: flat(inputs.token_level_scores),
      logProbs: flat(inputs.old_log_probs),
      referenceLogProbs: flat(inputs.ref_log_probs),
      mask: maskOf(inputs.mask),
      cuSeqlens: boundaries(rows, inputs.mask[0].length)
    })
    const { target_kl: target, horizon } = parameters
    const after = target
      ? new AdaptiveKl({ coefficient, target, horizon }).update(result.metrics.kl, rows)
      : result.metrics.coefficient
    return {
      values: [
        ['token_level_rewards', result.tokenRewards, outputs.token_level_rewards.flat()],
        ['coefficient_after', after, outputs.coefficient_after]
      ],
      metrics: [
        ['actor/reward_kl_penalty', result.metrics.kl, outputs.metrics['actor/reward_kl_penalty']],
        ['actor/reward_kl_penalty_coeff', result.metrics.coefficient, outputs.metrics['actor/reward_kl_penalty_coeff']]
      ]
    }
  }
}

function openrlhfRewardCase({ parameters, inputs, outputs }) {
  return ({ klReward, resolveAlgorithm }) => {
    const mask = maskOf(inputs.mask)
    const algorithm = resolveAlgorithm({
      // A negative coefficient counts as 0 there; here it is refused.
      kl: { coefficient: Math.max(0, parameters.kl_coef) },
      advantage: { rewardClip: parameters.reward_clip_range }
    })
    const { tokenRewards } = klReward(algorithm, {
      rewards: flat(inputs.rewards),
      kl: flat(inputs.kl),
      mask,
      cuSeqlens: boundaries(inputs.mask.length, inputs.mask[0].length)
    })
    const expected = counted(outputs.token_level_rewards.flat(), mask)
    return { values: [['token_level_rewards', counted(tokenRewards, mask), expected]] }
  }
}

function adaptiveCase({ parameters, inputs, outputs }) {
  return ({ AdaptiveKl }) => {
    const { init_kl_coef: coefficient, target_kl: target, horizon } = parameters
    const controller = new AdaptiveKl({ coefficient, target, horizon })
    const after = inputs.observed_kl.map((observed) => controller.update(observed, parameters.n_steps))
    return { values: [['coefficient_after', after, outputs.coefficient_after]] }
  }
}

/** verl's `full` on sampled tokens is an error there; here it is no kind of a sampled estimate, and klRows does it. */
function refusedCase({ parameters }) {
  return ({ resolveAlgorithm }) => {
    let refused = 0
    try {
      resolveAlgorithm({ kl: { kind: parameters.estimator } })
    } catch (error) {
      if (error.code !== 'ALGORITHM_INVALID') throw error
      refused = 1
    }
    return { values: [['raises', refused, 1]] }
  }
}

export function mapKlCase(golden) {
  const { source, outputs } = golden
  if (outputs.raises) return refusedCase(golden)
  if (source.includes('apply_kl_penalty')) return verlRewardCase(golden)
  if (source.includes('compute_reward')) return openrlhfRewardCase(golden)
  if (source.includes('AdaptiveKLController')) return adaptiveCase(golden)
  return mapEstimatorCase(golden)
}
