/** The RL calls from JavaScript: small batches by the call, large ones beside the native floor. */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import {
  advantages,
  policyLoss,
  preferenceLoss,
  qTargets,
  ReplayBuffer,
  resolveAlgorithm,
  resolveQAlgorithm
} from 'adjudge'
import { microseconds, runCases, type Samples } from './cases.js'
import { even, logProbsOf, mustAgree, near, ragged, uniforms } from './inputs.js'
import type { Figures } from './ledger/record.js'
import { figureOf, timesOf, words } from './ledger/statistics.js'
import { runNative } from './native.js'
import { plainAdvantages, plainDpo, plainPolicyLoss, PlainReplay, plainTargets, type PlainBatch } from './plain.js'

const help = `npm run bench -- rl [options]      RL calls from JavaScript: one group, large batches, replay
  --quick   short runs and arrays of a sixteenth: a look, not a measurement`

interface Pair {
  name: string
  ours: () => unknown
  plain: () => unknown
  /** Also record the microseconds of one call. */
  small?: boolean
}

const beta = 0.04
const grpo = resolveAlgorithm({ preset: 'grpo', kl: { coefficient: beta } })

export async function main(args: string[]): Promise<Figures | undefined> {
  const { values } = parseArgs({
    args,
    options: { quick: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } }
  })
  if (values.help) return void console.log(help)
  const size = values.quick ? 1 / 16 : 1
  const figures: Figures = {}
  await measure(
    'one group of 8 completions',
    [
      groupAdvantages(8, true),
      groupAdvantages(8, false),
      groupLoss(8, 16),
      dpo('preferenceLoss of 8 pairs, prepared', 8, true)
    ],
    figures,
    values.quick
  )
  await measure(
    'batches',
    [replay(1_000_000), targets(size), dpo('preferenceLoss, 10^6 pairs', Math.round(size * 1_000_000), false)],
    figures,
    values.quick
  )
  for (const batch of largeBatches) await measureLarge(batch, size, figures)
  for (const [name, figure] of Object.entries(figures))
    console.log(`${name.padEnd(56)} ${words(figure)} ${figure.unit}`)
  return values.quick ? undefined : figures
}

async function measure(title: string, pairs: Pair[], figures: Figures, quick: boolean): Promise<Samples> {
  const cases = pairs.flatMap(({ name, ours, plain }) => [
    [name, ours],
    [plainName(name), plain]
  ])
  const samples: Samples = await runCases(title, Object.fromEntries(cases) as Record<string, () => unknown>, {
    maxTime: quick ? 0.2 : 2,
    minSamples: 5
  })
  for (const { name, small } of pairs) {
    if (small) figures[`${name}: one call`] = microseconds(samples[name]!)
    figures[`${name}: plain JavaScript / ours`] = timesOf(samples[plainName(name)]!, samples[name]!)
  }
  return samples
}

const plainName = (name: string): string => `${name}, plain JavaScript`

/** `once`: the rule is read once; otherwise it comes with every call. */
function groupAdvantages(completions: number, once: boolean): Pair {
  const [rewards, groupOffsets] = [uniforms(completions, 1), even(1, completions)]
  const out = new Float32Array(completions)
  const prepared = advantages.prepare(grpo)
  const given = { advantages: new Float32Array(completions) }
  const ours = once
    ? () => prepared({ rewards, groupOffsets, out: given })
    : () => advantages(grpo, { rewards, groupOffsets, out: given })
  const plain = () => plainAdvantages(rewards, groupOffsets, out)
  plain()
  mustAgree('advantages', ours().advantages, out)
  return { name: `advantages of ${completions}, ${once ? 'prepared' : 'rule given'}`, ours, plain, small: true }
}

function batchOf(cuSeqlens: Int32Array): PlainBatch {
  const logProbs = logProbsOf(cuSeqlens.at(-1)!, 2)
  const signed = uniforms(cuSeqlens.length - 1, 5).map((value) => 2 * value - 1)
  return {
    logProbs,
    oldLogProbs: near(logProbs, 0.3, 3),
    referenceLogProbs: near(logProbs, 0.3, 4),
    advantages: signed,
    cuSeqlens
  }
}

function groupLoss(completions: number, length: number): Pair {
  const batch = batchOf(even(completions, length))
  const gradients = new Float32Array(batch.logProbs.length)
  const prepared = policyLoss.prepare(grpo)
  const out = { logProbGradients: new Float32Array(gradients.length) }
  const ours = () => prepared({ ...batch, out })
  const plain = () => plainPolicyLoss(batch, beta, gradients)
  mustAgree('policyLoss', [ours().loss], [plain()])
  mustAgree('policyLoss', ours().logProbGradients, gradients)
  return { name: `policyLoss of ${completions} x ${length} tokens, prepared`, ours, plain, small: true }
}

function replay(capacity: number): Pair {
  const buffer = new ReplayBuffer({
    capacity,
    seed: 1,
    fields: { state: { type: 'float32', width: 4 } },
    priorities: { alpha: 1, beta: 0.4 }
  })
  const [states, errors] = [uniforms(4 * capacity, 6), uniforms(capacity, 7)]
  buffer.add({ state: states }, errors)
  const plain = new PlainReplay(
    Float64Array.from(errors, (error) => error + 1e-6),
    states
  )
  return {
    name: `ReplayBuffer.sample(256) of ${capacity.toExponential(0)}`,
    ours: () => buffer.sample(256),
    plain: () => plain.sample(256)
  }
}

function targets(size: number): Pair {
  const steps = Math.round(size * 250_000)
  const [rewards, nextQ] = [uniforms(steps, 8), uniforms(steps * 32, 9)]
  const dqn = resolveQAlgorithm({ preset: 'dqn', targets: { gamma: 0.99 } })
  const out = new Float32Array(steps)
  const ours = () => qTargets(dqn, { rewards, nextQ })
  const plain = () => plainTargets(rewards, nextQ, 0.99, out)
  plain()
  mustAgree('qTargets', ours(), out)
  return { name: 'qTargets, 250,000 steps of 32 actions', ours, plain }
}

function dpo(name: string, pairs: number, small: boolean): Pair {
  const logProbs = logProbsOf(2 * pairs, 10)
  const referenceLogProbs = near(logProbs, 1, 11)
  const chosen = Int32Array.from({ length: pairs }, (_, pair) => 2 * pair)
  const rejected = chosen.map((completion) => completion + 1)
  const prepared = preferenceLoss.prepare({ preset: 'dpo', beta: 0.1 })
  const [gradients, out] = [new Float32Array(2 * pairs), { gradients: new Float32Array(2 * pairs) }]
  const ours = () => prepared({ logProbs, referenceLogProbs, chosen, rejected, out })
  const plain = () => plainDpo(logProbs, referenceLogProbs, 0.1, gradients)
  mustAgree('preferenceLoss', [ours().loss], [plain()])
  mustAgree('preferenceLoss', out.gradients, gradients)
  return { name, ours, plain, small }
}

/** A batch beyond every cache, and the native floor whose bytes it shares. */
interface Large {
  name: string
  /** Name of the case in bench/native. */
  floor: string
  make: (size: number) => { bytes: number; ours: () => unknown; plain: () => unknown }
}

const largeBatches: Large[] = [
  {
    name: 'advantages, 10^8 in groups of 8',
    floor: 'grpo advantages, 10^8 in groups of 8',
    make: (size) => {
      const completions = 8 * Math.round(size * 12_500_000)
      const [rewards, groupOffsets] = [uniforms(completions, 12), even(completions / 8, 8)]
      const out = new Float32Array(completions)
      return {
        bytes: 8 * completions + 4 * groupOffsets.length,
        ours: () => advantages(grpo, { rewards, groupOffsets, out: { advantages: out } }),
        plain: () => plainAdvantages(rewards, groupOffsets, out)
      }
    }
  },
  {
    name: 'policyLoss, 4 * 10^7 tokens',
    floor: 'grpo loss with KL, 10^8 tokens',
    make: (size) => {
      const batch = batchOf(ragged(Math.round(size * 40_000_000), 2048, 13))
      const gradients = new Float32Array(batch.logProbs.length)
      return {
        bytes: 16 * gradients.length,
        ours: () => policyLoss(grpo, { ...batch, out: { logProbGradients: gradients } }),
        plain: () => plainPolicyLoss(batch, beta, gradients)
      }
    }
  }
]

async function measureLarge({ name, floor, make }: Large, size: number, figures: Figures): Promise<void> {
  const options = ['--only', floor, '--rounds', '3', '--threads', String(availableParallelism())]
  if (size < 1) options.push('--quick')
  const { beside } = runNative('rl', (json) => [...options, '--json', json], { quiet: true })
  const { bytes, ours, plain } = make(size)
  const samples = await measure(name, [{ name, ours, plain }], figures, size < 1)
  const gigabytesPerSecond = samples[name]!.map((seconds) => bytes / seconds / 1e9)
  figures[`${name}: beside the native floor`] = figureOf(
    gigabytesPerSecond.map((rate) => rate / beside[floor]!),
    'of floor'
  )
}
