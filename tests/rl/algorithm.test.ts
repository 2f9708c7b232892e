import { describe, expect, test } from 'vitest'
import { isAdjudgeError } from '../../src/errors.js'
import { presetNames, resolveAlgorithm } from '../../src/rl/index.js'

function refusal(options: Parameters<typeof resolveAlgorithm>[0]): string {
  try {
    resolveAlgorithm(options)
  } catch (error) {
    if (isAdjudgeError(error) && error.code === 'ALGORITHM_INVALID') return error.message
    throw error
  }
  return 'accepted'
}

describe('resolveAlgorithm', () => {
  test('every preset resolves to a complete record with its own name', () => {
    for (const name of presetNames) expect(resolveAlgorithm(name).preset).toBe(name)
    expect(resolveAlgorithm('grpo').advantage).toMatchObject({ baseline: 'group', scale: 'group', epsilon: 1e-4 })
    expect(resolveAlgorithm('verl_grpo').advantage).toMatchObject({ epsilon: 1e-6, singleton: 'reward' })
    expect(resolveAlgorithm('openrlhf_group_norm').advantage.epsilon).toBe(1e-9)
    expect(resolveAlgorithm('dapo').loss).toMatchObject({ clipLow: 0.2, clipHigh: 0.28 })
  })

  test('a record changes fields of its preset, in the spelling of YAML and of TypeScript alike', () => {
    const yaml = resolveAlgorithm({ preset: 'dapo', loss: { clip_low: 0.1 }, kl: { in_reward: true } })
    const typed = resolveAlgorithm({ preset: 'dapo', loss: { clipLow: 0.1 }, kl: { inReward: true } })
    expect(yaml).toEqual(typed)
    expect(yaml.loss).toMatchObject({ clipLow: 0.1, clipHigh: 0.28 })
    expect(resolveAlgorithm({ advantage: { baseline: 'batch' } }).preset).toBe('grpo')
  })

  test('whitening may be given in part; null takes it away', () => {
    expect(resolveAlgorithm({ advantage: { whitening: { scale: false } } }).advantage.whitening).toMatchObject({
      scale: false,
      bessel: true
    })
    const plain = resolveAlgorithm({ preset: 'reinforce_plus_plus', advantage: { whitening: null } })
    expect(plain.advantage.whitening).toBeNull()
  })

  test('a complete record resolves to itself', () => {
    const algorithm = resolveAlgorithm('verl_gspo')
    expect(resolveAlgorithm(algorithm)).toEqual(algorithm)
  })

  test('mistakes are answered with the nearest name', () => {
    expect(refusal('grop')).toMatch('did you mean "grpo"')
    expect(refusal({ preset: 'verl_grppo' })).toMatch('did you mean "verl_grpo"')
    expect(refusal({ loss: { clip_hihg: 0.3 } })).toMatch('did you mean "loss.clip_high"')
    expect(refusal({ advantage: { baseline: 'grup' } })).toMatch('did you mean "group"')
    expect(refusal({ aggregation: 'tokenmean' })).toMatch('did you mean "token_mean"')
    expect(refusal({ constructor: 1 })).toMatch('unknown key')
  })

  test('values of a wrong type or range, and combinations without meaning, are refused', () => {
    expect(refusal({ kl: { coefficient: -1 } })).toMatch('kl.coefficient')
    expect(refusal({ loss: { clip_low: '0.2' } })).toMatch('loss.clip_low')
    expect(refusal({ loss: 3 })).toMatch('must be a record')
    expect(refusal({ advantage: { reward_clip: [1, -1] } })).toMatch('reward_clip')
    expect(refusal({ aggregation: 'sequence_mean' })).toMatch('"ratio"')
    expect(refusal({ preset: 'exact', kl: { in_reward: true } })).toMatch('in_reward')
    expect(refusal({ preset: 'ppo', advantage: { scale: 'group' } })).toMatch('"advantage.scale" has no meaning')
    expect(refusal({ preset: 'ppo', advantage: { lambda: 1.5 } })).toMatch('advantage.lambda')
    expect(refusal({ preset: 'optimal_token_baseline', advantage: { estimator: 'gae' } })).toMatch('two baselines')
    expect(refusal({ preset: 'gdpo', kl: { in_reward: true } })).toMatch('kl.per_token')
    expect(refusal({ preset: 'gdpo', advantage: { baseline: 'given' } })).toMatch('normalize_then_sum')
    expect(refusal({ preset: 'gpg', advantage: { f_norm: 0 } })).toMatch('advantage.f_norm')
  })
})
