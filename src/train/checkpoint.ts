/** Checkpoints of a run: adapter or weights, the optimizer, and where the run stands. Whole or not there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { NativeDescription } from '../binding/native.js'
import { AdjudgeError } from '../errors.js'
import type { Policy } from '../policy/policy.js'
import type { RewardStatisticsState } from '../rl/index.js'
import { writeAtomic } from './files.js'

export const checkpointFormat = 1

/** Everything that the weights and the optimizer do not hold. Samples and data order follow from seed and step. */
export interface RunState {
  format: number
  /** Optimizer steps done. */
  step: number
  /** Completions' and prompts' tokens so far. */
  tokens: number
  /** What the judges have cost so far. */
  judge: { calls: number; tokens: number; cost: number }
  /** Seconds of training so far, evaluations left out. */
  seconds: number
  /** What `auto` chose when the run began: it goes on in the same, also on another processor. */
  dtype: NativeDescription['dtype']
  /** What shaping carries from step to step; absent where it carries nothing. */
  shaping?: ShapingState
}

export interface ShapingState {
  /** Of all rewards so far, for reward.scale. */
  statistics?: RewardStatisticsState
  /** Where reward.adaptive_kl stands. */
  klCoefficient?: number
}

export interface Checkpoint {
  state: RunState
  /** A Transformers folder, or a PEFT folder where an adapter is trained; heads lie in its folder `heads`. */
  model: string
  optimizer: string
  folder: string
}

const nameOf = (step: number): string => `step-${String(step).padStart(6, '0')}`

/** Writes the checkpoint of a step and removes older ones past `keep`. Throws what writing throws. */
export async function saveCheckpoint(folder: string, policy: Policy, state: RunState, keep: number): Promise<string> {
  const target = join(folder, nameOf(state.step))
  const partial = `${target}.partial`
  try {
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial, { recursive: true })
    await policy.save(join(partial, 'model'), { format: policy.hasAdapter ? 'peft' : 'transformers' })
    await policy.saveOptimizer(join(partial, 'optimizer.safetensors'))
    await writeAtomic(join(partial, 'state.json'), JSON.stringify(state, null, 2) + '\n')
    await rm(target, { recursive: true, force: true })
    await rename(partial, target)
  } catch (error) {
    await rm(partial, { recursive: true, force: true }).catch(() => undefined)
    if (error instanceof AdjudgeError) throw error
    const message = `${target}: the checkpoint cannot be written (${(error as Error).message})`
    throw new AdjudgeError('FILE_UNWRITABLE', message, { cause: error })
  }
  for (const old of checkpointNames(folder).slice(0, -keep)) await rm(join(folder, old), { recursive: true })
  return target
}

/** In the order of their steps. */
function checkpointNames(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => /^step-\d+$/.test(name))
    .sort()
}

/** The newest checkpoint, if there is one. Throws CHECKPOINT_INVALID or FORMAT_NEWER. */
export function latestCheckpoint(folder: string): Checkpoint | undefined {
  const name = checkpointNames(folder).at(-1)
  if (name === undefined) return undefined
  const at = join(folder, name)
  let state: RunState
  try {
    state = JSON.parse(readFileSync(join(at, 'state.json'), 'utf8')) as RunState
  } catch (cause) {
    const message = `${at}: state.json cannot be read (${(cause as Error).message}); remove this folder to go on from the one before`
    throw new AdjudgeError('CHECKPOINT_INVALID', message, { cause })
  }
  if (state.format > checkpointFormat) {
    const message = `${at}: format ${state.format} was written by a newer adjudge; this one reads up to ${checkpointFormat}`
    throw new AdjudgeError('FORMAT_NEWER', message)
  }
  return { state, model: join(at, 'model'), optimizer: join(at, 'optimizer.safetensors'), folder: at }
}
