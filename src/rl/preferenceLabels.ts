/** From a judge's verdicts to single completions that are desirable or not, as KTO learns from them. */
import { AdjudgeError } from '../errors.js'
import type { GroupScores } from './preferencePairs.js'

export interface PreferenceLabels {
  /** [labelled]: indices of completions, counted through all groups in their order. */
  completions: Int32Array
  /** [labelled]: 1 = above the threshold, 0 = below it. */
  desirable: Uint8Array
  metrics: {
    desirable: number
    undesirable: number
    /** Completions whose score is the threshold itself: not labelled. */
    ties: number
    /** Completions without a score: not labelled. */
    unscored: number
    /** Groups in which nothing was labelled. */
    dead_groups: number
  }
}

/**
 * Completions above and below a threshold. Those that are equal to it, and the unscored, are left out and counted.
 * @param threshold a score, or `group_mean`: that of each group's scored completions
 * @throws AdjudgeError `ARGUMENT_INVALID` for a threshold or a score that is not finite.
 */
export function preferenceLabels(
  groups: GroupScores,
  threshold: number | 'group_mean' = 'group_mean'
): PreferenceLabels {
  const invalid = (message: string) => new AdjudgeError('ARGUMENT_INVALID', message)
  if (threshold !== 'group_mean' && !Number.isFinite(threshold)) {
    throw invalid(`threshold is ${threshold}, expected a finite number or group_mean`)
  }
  const completions: number[] = []
  const desirable: number[] = []
  const metrics = { desirable: 0, undesirable: 0, ties: 0, unscored: 0, dead_groups: 0 }
  let first = 0
  for (const [group, scores] of groups.entries()) {
    const scored = scores.filter((score) => score !== null)
    const line = threshold === 'group_mean' ? scored.reduce((sum, score) => sum + score, 0) / scored.length : threshold
    const before = completions.length
    for (const [index, score] of scores.entries()) {
      if (score === null) metrics.unscored++
      else if (!Number.isFinite(score)) {
        throw invalid(`scores[${group}][${index}] is ${score}, expected a finite number, or null for unscored`)
      } else if (score === line) metrics.ties++
      else {
        completions.push(first + index)
        desirable.push(score > line ? 1 : 0)
        metrics[score > line ? 'desirable' : 'undesirable']++
      }
    }
    if (completions.length === before) metrics.dead_groups++
    first += scores.length
  }
  return { completions: Int32Array.from(completions), desirable: Uint8Array.from(desirable), metrics }
}
