/** The `algorithm` section of a run that learns from comparisons: a preference preset, and how verdicts become pairs. */
import { AdjudgeError } from '../errors.js'
import { preferencePresetNames, resolvePreference, type Preference, type PreferencePairsOptions } from '../rl/index.js'
import type { RunConfig } from './schema.js'

export interface PreferenceTraining {
  preference: Preference
  /** `pairs` and `min_margin` of the section. */
  pairs: Required<PreferencePairsOptions>
  /** `threshold` of the section: what kto calls desirable. */
  threshold: number | 'group_mean'
}

const rules = ['best_worst', 'all', 'adjacent'] as const

/** True where a run's preset is one of preferences (its other keys may still be wrong). */
export const isPreference = ({ algorithm }: RunConfig): boolean => preferencePresetNames.includes(algorithm.preset)

/** How a run learns from preferences; undefined where its preset is none of them. Throws ALGORITHM_INVALID. */
export function preferenceOf(config: RunConfig): PreferenceTraining | undefined {
  if (!isPreference(config)) return undefined
  const {
    pairs = 'best_worst',
    min_margin: minMargin = 0,
    threshold = 'group_mean',
    ...loss
  } = config.algorithm as Record<string, unknown>
  const wrong = (message: string) => new AdjudgeError('ALGORITHM_INVALID', `preference: ${message}`)
  const preference = resolvePreference(loss)
  const rule = rules.find((known) => known === pairs)
  if (!rule) throw wrong(`"pairs" is ${JSON.stringify(pairs)}, expected one of ${rules.join(', ')}`)
  if (typeof minMargin !== 'number' || !(minMargin >= 0)) {
    throw wrong(`"min_margin" is ${JSON.stringify(minMargin)}, expected a number of at least 0`)
  }
  if (threshold !== 'group_mean' && typeof threshold !== 'number') {
    throw wrong(`"threshold" is ${JSON.stringify(threshold)}, expected a score or group_mean`)
  }
  if (preference.kind === 'bradley_terry') {
    throw wrong(
      '"preset" bradley_terry trains a reward model’s scores, and a policy has none: expected another, e.g. dpo'
    )
  }
  return { preference, pairs: { rule, minMargin }, threshold }
}

/**
 * Where a run's rollout cannot give what its comparisons need: the key and what to do. Throws ALGORITHM_INVALID.
 * @param given the answers come from the data
 */
export function preferenceProblem(config: RunConfig, given: boolean): { path: string; message: string } | undefined {
  const training = preferenceOf(config)
  const { rollout } = config
  if (!training) return undefined
  if (rollout.choices !== undefined) {
    return {
      path: '/rollout/choices',
      message: `rollout.choices is for the exact estimator; remove it, as ${config.algorithm.preset} compares samples`
    }
  }
  if (rollout.completions < 2 && !given) {
    return { path: '/rollout/completions', message: 'comparing takes two; expected rollout.completions of at least 2' }
  }
  if (training.preference.kind === 'kto' && rollout.prompts < 2) {
    const message = 'kto measures its baseline on answers to other prompts; expected rollout.prompts of at least 2'
    return { path: '/rollout/prompts', message }
  }
  return undefined
}
