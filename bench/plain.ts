/** What one would write without a library: plain loops over the same typed arrays, for comparison. */

/** GRPO: (reward − mean) / (deviation with n−1 + 1e-4), group by group. */
export function plainAdvantages(rewards: Float32Array, groupOffsets: Int32Array, out: Float32Array): void {
  for (let group = 0; group + 1 < groupOffsets.length; group++) {
    const [begin, end] = [groupOffsets[group]!, groupOffsets[group + 1]!]
    let sum = 0
    for (let i = begin; i < end; i++) sum += rewards[i]!
    const mean = sum / (end - begin)
    let squares = 0
    for (let i = begin; i < end; i++) squares += (rewards[i]! - mean) ** 2
    const deviation = Math.sqrt(squares / (end - begin - 1))
    for (let i = begin; i < end; i++) out[i] = (rewards[i]! - mean) / (deviation + 1e-4)
  }
}

export interface PlainBatch {
  logProbs: Float32Array
  oldLogProbs: Float32Array
  referenceLogProbs: Float32Array
  advantages: Float32Array
  cuSeqlens: Int32Array
}

/** The clipped ratio (0.2) and k3 of coefficient `beta`, mean over each completion's tokens, then over completions. */
export function plainPolicyLoss(batch: PlainBatch, beta: number, gradients: Float32Array): number {
  const { logProbs, oldLogProbs, referenceLogProbs, advantages, cuSeqlens } = batch
  const completions = cuSeqlens.length - 1
  let loss = 0
  for (let row = 0; row < completions; row++) {
    const [begin, end] = [cuSeqlens[row]!, cuSeqlens[row + 1]!]
    const weight = 1 / completions / (end - begin)
    const advantage = advantages[row]!
    for (let t = begin; t < end; t++) {
      const ratio = Math.exp(logProbs[t]! - oldLogProbs[t]!)
      const clipped = Math.min(Math.max(ratio, 0.8), 1.2)
      const free = ratio * advantage <= clipped * advantage
      const difference = referenceLogProbs[t]! - logProbs[t]!
      const kl = Math.exp(difference) - difference - 1
      loss += weight * (-(free ? ratio : clipped) * advantage + beta * kl)
      gradients[t] = weight * ((free ? -ratio * advantage : 0) + beta * (1 - Math.exp(difference)))
    }
  }
  return loss
}

/** r + gamma · max over the next state's actions. */
export function plainTargets(rewards: Float32Array, nextQ: Float32Array, gamma: number, out: Float32Array): void {
  const actions = nextQ.length / rewards.length
  for (let step = 0; step < rewards.length; step++) {
    let best = -Infinity
    for (let action = 0; action < actions; action++) best = Math.max(best, nextQ[step * actions + action]!)
    out[step] = rewards[step]! + gamma * best
  }
}

/** DPO over sums of log-probs, pair k being completions 2k (chosen) and 2k + 1. */
export function plainDpo(logProbs: Float32Array, reference: Float32Array, beta: number, out: Float32Array): number {
  const pairs = logProbs.length / 2
  let loss = 0
  for (let pair = 0; pair < pairs; pair++) {
    const [chosen, rejected] = [2 * pair, 2 * pair + 1]
    const margin = logProbs[chosen]! - reference[chosen]! - logProbs[rejected]! + reference[rejected]!
    const wrong = 1 / (1 + Math.exp(beta * margin))
    loss += Math.log1p(Math.exp(-beta * margin)) / pairs
    out[chosen] = (-beta * wrong) / pairs
    out[rejected] = (beta * wrong) / pairs
  }
  return loss
}

/** A binary sum tree: draws in proportion to priorities. */
export class PlainReplay {
  readonly #sums: Float64Array
  readonly #leaves: number

  constructor(
    priorities: Float64Array,
    private readonly states: Float32Array
  ) {
    this.#leaves = 2 ** Math.ceil(Math.log2(priorities.length))
    this.#sums = new Float64Array(2 * this.#leaves)
    this.#sums.set(priorities, this.#leaves)
    for (let node = this.#leaves - 1; node > 0; node--) {
      this.#sums[node] = this.#sums[2 * node]! + this.#sums[2 * node + 1]!
    }
  }

  sample(count: number): { indices: Int32Array; weights: Float64Array; states: Float32Array } {
    const width = 4
    const [indices, weights] = [new Int32Array(count), new Float64Array(count)]
    const states = new Float32Array(count * width)
    const total = this.#sums[1]!
    let largest = 0
    for (let draw = 0; draw < count; draw++) {
      let mass = ((draw + Math.random()) / count) * total
      let node = 1
      while (node < this.#leaves) {
        node *= 2
        if (mass >= this.#sums[node]!) mass -= this.#sums[node++]!
      }
      indices[draw] = node - this.#leaves
      weights[draw] = (this.#sums[node]! / total) ** -0.4
      largest = Math.max(largest, weights[draw]!)
      for (let k = 0; k < width; k++) states[draw * width + k] = this.states[indices[draw]! * width + k]!
    }
    for (let draw = 0; draw < count; draw++) weights[draw]! /= largest
    return { indices, weights, states }
  }
}
