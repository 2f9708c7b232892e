/** An evaluation: held-out prompts, one answer each, the run's own rewards. */
import { join } from 'node:path'
import type { DataItem } from '../data/index.js'
import { chooseAnswers } from './choices.js'
import { JsonlWriter } from './files.js'
import { compareHeldOut } from './given.js'
import { rolloutMetrics, type Metrics } from './metrics.js'
import { preferenceOf } from './preference.js'
import { isQLearning } from './qConfig.js'
import { rollOut, rolloutRecords } from './rollout.js'
import { samplingOf, type Session } from './session.js'

/** Writes `evaluations/step-….jsonl` and gives its numbers, each named `eval/…`. */
export async function evaluate(session: Session, step: number): Promise<Metrics> {
  return Object.fromEntries(
    Object.entries({ ...(await compareAnswers(session)), ...(await judgeHeldOut(session, step)) }).map(
      ([name, value]) => [`eval/${name}`, value]
    )
  )
}

/** How the policy compares held-out answers that the data brings; nothing where there are none. */
async function compareAnswers(session: Session): Promise<Metrics> {
  const training = preferenceOf(session.config)
  if (!session.givenTest || !training) return {}
  return compareHeldOut(session, await session.givenTest.first(session.config.evaluation.items), training)
}

/** One answer per held-out prompt, judged; nothing where the run has no judges. */
async function judgeHeldOut(session: Session, step: number): Promise<Metrics> {
  const { config, policy, rewards, test, choices } = session
  if (rewards.columns.length === 0) return {}
  const items: DataItem[] = []
  if (session.givenTest) items.push(...(await session.givenTest.first(config.evaluation.items)))
  else for await (const item of test!.items(config.evaluation.items)) items.push(item)
  await session.checkLengths(items, test!.path)
  const { temperature } = config.evaluation
  // Evaluations of a run share their seed: what differs between two of them is the policy.
  const decoding = isQLearning(config) ? { decoding: { beta: config.rollout.decoding_beta ?? 1 } } : {}
  const options = { ...samplingOf(config, 0), n: 1, temperature, ...decoding }
  const name = `evaluation-${step}`
  const { seed } = config.training
  const rollout = choices
    ? await chooseAnswers(policy, items, rewards, choices, { file: test!.path, temperature, seed, name })
    : await rollOut(policy, items, rewards, options, name)
  const writer = await JsonlWriter.open(join(session.folder, 'evaluations', fileOf(step)))
  for (const record of rolloutRecords(rollout, rewards, step)) await writer.write(record)
  await writer.finish()
  return rolloutMetrics(rollout, rewards)
}

export const fileOf = (step: number): string => `step-${String(step).padStart(6, '0')}.jsonl`
