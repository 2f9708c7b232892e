/** The inputs of both sides, and our side of each case. */
import { advantages, gae, logitsStatistics, policyLoss, resolveAlgorithm } from 'adjudge'
import { even, logProbsOf, near, uniforms } from '../inputs.js'

/** An array and its shape. */
export interface Input {
  values: Float32Array | Int32Array
  shape: number[]
}

const [rows, columns] = [4096, 1024]
const [sequences, steps] = [1024, 2048]
const [completions, verlCompletions] = [8_000_000, 65_536]
const [logitsRows, vocabulary] = [512, 49_152]

export function inputsOf(size: number): Record<string, Input> {
  const scaled = (count: number) => Math.max(64, Math.round(size * count))
  const [tokenRows, gaeRows, vocabularyRows] = [scaled(rows), scaled(sequences), scaled(logitsRows)]
  const logProbs = logProbsOf(tokenRows * columns, 1)
  const stepRewards = uniforms(gaeRows * steps, 5).map((value, i) => (i % steps === steps - 1 ? value : 0))
  const plain = (values: Float32Array): Input => ({ values, shape: [values.length] })
  const shaped = (values: Float32Array, width: number): Input => ({ values, shape: [values.length / width, width] })
  const signed = (values: Float32Array) => values.map((value) => 2 * value - 1)
  return {
    rewards: plain(uniforms(8 * scaled(completions / 8), 7)),
    verl_rewards: plain(uniforms(8 * scaled(verlCompletions / 8), 8)),
    log_probs: shaped(logProbs, columns),
    old_log_probs: shaped(near(logProbs, 0.3, 2), columns),
    reference_log_probs: shaped(near(logProbs, 0.3, 3), columns),
    advantages: plain(signed(uniforms(tokenRows, 4))),
    step_rewards: shaped(stepRewards, steps),
    values: shaped(signed(uniforms(gaeRows * steps, 6)), steps),
    logits: shaped(
      uniforms(vocabularyRows * vocabulary, 9).map((value) => 16 * value - 8),
      vocabulary
    ),
    tokens: {
      values: Int32Array.from(uniforms(vocabularyRows, 10), (value) => Math.floor(value * vocabulary)),
      shape: [vocabularyRows]
    }
  }
}

/** Runs once; the tensors that the peer answers with, in its order. */
export type OurCase = () => ArrayLike<number>[]

/** Every case, prepared: rules read once, results into the same buffers, as a training loop calls. */
export function ourCases(inputs: Record<string, Input>): Record<string, OurCase> {
  const floats = (name: string) => inputs[name]!.values as Float32Array
  const group = (name: string, preset: object): OurCase => {
    const rewards = floats(name)
    const input = {
      rewards,
      groupOffsets: even(rewards.length / 8, 8),
      out: { advantages: new Float32Array(rewards.length) }
    }
    const run = advantages.prepare(preset)
    return () => [run(input).advantages]
  }
  const loss = (preset: object, reference: boolean): OurCase => {
    const logProbs = floats('log_probs')
    const input = {
      logProbs,
      oldLogProbs: floats('old_log_probs'),
      ...(reference && { referenceLogProbs: floats('reference_log_probs') }),
      advantages: floats('advantages'),
      cuSeqlens: even(logProbs.length / columns, columns),
      out: { logProbGradients: new Float32Array(logProbs.length) }
    }
    const run = policyLoss.prepare(preset)
    return () => {
      const result = run(input)
      return [[result.loss], result.logProbGradients]
    }
  }
  const tokens = inputs['tokens']!.values as Int32Array
  const row = () => new Float32Array(tokens.length)
  const logitsInput = {
    logits: floats('logits'),
    tokens,
    out: { logProbs: row(), entropies: row(), logSumExp: row(), sumPiSquared: row() }
  }
  const ofLogits: OurCase = () => {
    const { logProbs, entropies } = logitsStatistics(logitsInput)
    return [logProbs, entropies]
  }
  const [rewards, values] = [floats('step_rewards'), floats('values')]
  const steps_ = { rewards, values, cuSeqlens: even(rewards.length / steps, steps) }
  return {
    'TRL grpo advantages': group('rewards', { preset: 'grpo' }),
    'TRL grpo loss with KL': loss({ preset: 'grpo', kl: { coefficient: 0.04 } }, true),
    'TRL log-prob and entropy': ofLogits,
    'verl gae': () => {
      const result = gae(steps_, { gamma: 1, lambda: 0.95 })
      return [result.advantages, result.returns]
    },
    'verl grpo advantages': group('verl_rewards', resolveAlgorithm('verl_grpo')),
    'verl ppo loss': loss(resolveAlgorithm('verl_grpo'), false),
    'verl log-prob and entropy': ofLogits
  }
}
