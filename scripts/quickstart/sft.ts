/** Supervised training on weighted tokens: what both models of the quickstart are made with. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Policy } from '../../src/policy/policy.js'
import type { Sequence } from '../../src/policy/types.js'

export interface Example {
  sequence: Sequence
  /** Weight of each token's loss. */
  weights: number[]
}

export interface SftOptions<Text> {
  /** The model at the beginning. */
  folder: string
  /** Where the training stands is kept here; a training that was stopped goes on from it, to the same bits. */
  scratch: string
  threads: number
  steps: number
  /** The last so many steps: the learning rate falls to 0 in a straight line. */
  decay: number
  batch: number
  learningRate: number
  /** The next text, in an order that only the seed decides. */
  draw: () => Text
  encode: (policy: Policy, text: Text) => Example
  log: (line: string) => void
  /** Looks at the model every so many steps. */
  look: (policy: Policy) => Promise<string>
}

const every = 100

/** AdamW with warm-up, a constant learning rate, and decay; the loss is the weighted mean over the batch's tokens. */
export async function sft<Text>(options: SftOptions<Text>): Promise<Policy> {
  const { steps, decay, batch, learningRate, draw, encode, log, scratch } = options
  const begun = standOf(scratch)
  const policy = await Policy.load(begun ? join(begun.folder, 'model') : options.folder, { threads: options.threads })
  if (begun) await policy.loadOptimizer(join(begun.folder, 'optimizer.safetensors'))
  for (let count = 0; count < (begun?.step ?? 0) * batch; count++) draw()
  const started = performance.now()
  let mean: number | undefined
  for (let step = (begun?.step ?? 0) + 1; step <= steps; step++) {
    const examples = Array.from({ length: batch }, () => encode(policy, draw()))
    const total = examples.reduce((sum, { weights }) => sum + weights.reduce((a, b) => a + b, 0), 0)
    const { logProbs } = await policy.backward({
      sequences: examples.map(({ sequence }) => sequence),
      logProbGradients: examples.map(({ weights }) => Float32Array.from(weights, (weight) => -weight / total))
    })
    await policy.step({
      learningRate: learningRate * Math.min(1, step / 100, (steps - step + 1) / decay),
      clipNorm: 1,
      beta2: 0.98,
      weightDecay: 0.01
    })
    let loss = 0
    examples.forEach(({ weights }, index) =>
      weights.forEach((weight, token) => (loss -= weight === 0 ? 0 : (weight * logProbs[index]![token]!) / total))
    )
    mean = mean === undefined ? loss : 0.95 * mean + 0.05 * loss
    if (step % 50 === 0) {
      const seconds = ((performance.now() - started) / 1000).toFixed(0)
      log(`step ${step}/${steps}  loss ${mean.toFixed(3)}  ${seconds} s`)
    }
    if (step % every === 0 || step === steps) log(`step ${step}/${steps}  ${await options.look(policy)}`)
    if (step % every === 0 && step <= steps - decay) await keep(policy, scratch, step)
  }
  return policy
}

function standOf(scratch: string): { step: number; folder: string } | undefined {
  const file = join(scratch, 'stand.json')
  if (!existsSync(file)) return undefined
  const { step } = JSON.parse(readFileSync(file, 'utf8')) as { step: number }
  return { step, folder: join(scratch, String(step)) }
}

async function keep(policy: Policy, scratch: string, step: number): Promise<void> {
  const folder = join(scratch, String(step))
  mkdirSync(folder, { recursive: true })
  await policy.save(join(folder, 'model'))
  await policy.saveOptimizer(join(folder, 'optimizer.safetensors'))
  writeFileSync(join(scratch, 'stand.partial'), JSON.stringify({ step }))
  renameSync(join(scratch, 'stand.partial'), join(scratch, 'stand.json'))
}
