/** Supervised training on weighted tokens: what both models of the quickstart are made with. */
import type { Policy } from '../../src/policy/policy.js'
import type { Sequence } from '../../src/policy/types.js'

export interface Example {
  sequence: Sequence
  /** Weight of each token's loss. */
  weights: number[]
}

export interface SftOptions {
  steps: number
  batch: number
  learningRate: number
  next: () => Example
  log: (line: string) => void
}

/** AdamW with warm-up and cosine decay; the loss is the weighted mean over the batch's tokens. */
export async function sft(policy: Policy, options: SftOptions): Promise<void> {
  const { steps, batch, learningRate, next, log } = options
  const warmUp = Math.min(50, steps / 10)
  let mean: number | undefined
  for (let step = 0; step < steps; step++) {
    const examples = Array.from({ length: batch }, next)
    const total = examples.reduce((sum, { weights }) => sum + weights.reduce((a, b) => a + b, 0), 0)
    const { logProbs } = await policy.backward({
      sequences: examples.map(({ sequence }) => sequence),
      logProbGradients: examples.map(({ weights }) => Float32Array.from(weights, (weight) => -weight / total))
    })
    const cosine = 0.5 * (1 + Math.cos((Math.PI * step) / steps))
    await policy.step({
      learningRate: learningRate * Math.min(1, (step + 1) / warmUp) * cosine,
      clipNorm: 1,
      beta2: 0.98,
      weightDecay: 0.01
    })
    let loss = 0
    examples.forEach(({ weights }, index) =>
      weights.forEach((weight, token) => (loss -= weight === 0 ? 0 : (weight * logProbs[index]![token]!) / total))
    )
    mean = mean === undefined ? loss : 0.95 * mean + 0.05 * loss
    if ((step + 1) % 25 === 0) log(`step ${step + 1}/${steps}  loss ${mean.toFixed(3)}`)
  }
}
