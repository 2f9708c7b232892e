/** An evaluation: held-out prompts, one answer each, the run's own rewards. */
import { join } from 'node:path'
import type { DataItem } from '../data/index.js'
import { chooseAnswers } from './choices.js'
import { JsonlWriter } from './files.js'
import { rolloutMetrics, type Metrics } from './metrics.js'
import { rollOut, rolloutRecords } from './rollout.js'
import { samplingOf, type Session } from './session.js'

/** Writes `evaluations/step-….jsonl` and gives its numbers, each named `eval/…`. */
export async function evaluate(session: Session, step: number): Promise<Metrics> {
  const { config, policy, rewards, test, choices } = session
  const items: DataItem[] = []
  for await (const item of test!.items(config.evaluation.items)) items.push(item)
  await session.checkLengths(items, test!.path)
  const { temperature } = config.evaluation
  // Evaluations of a run share their seed: what differs between two of them is the policy.
  const options = { ...samplingOf(config, 0), n: 1, temperature }
  const name = `evaluation-${step}`
  const { seed } = config.training
  const rollout = choices
    ? await chooseAnswers(policy, items, rewards, choices, { file: test!.path, temperature, seed, name })
    : await rollOut(policy, items, rewards, options, name)
  const writer = await JsonlWriter.open(join(session.folder, 'evaluations', fileOf(step)))
  for (const record of rolloutRecords(rollout, rewards, step)) await writer.write(record)
  await writer.finish()
  return Object.fromEntries(
    Object.entries(rolloutMetrics(rollout, rewards)).map(([name, value]) => [`eval/${name}`, value])
  )
}

export const fileOf = (step: number): string => `step-${String(step).padStart(6, '0')}.jsonl`
