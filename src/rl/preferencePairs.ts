/** From a judge's verdicts on the completions of each prompt to pairs of a better and a worse one. */
import { AdjudgeError } from '../errors.js'

export interface PreferencePairsOptions {
  /**
   * Which completions of a group are paired: its best with its worst; every two; or each with the next one in the order
   * of the scores. Default: `best_worst`.
   */
  rule?: 'best_worst' | 'all' | 'adjacent'
  /** A pair's scores must differ by more than this; else it is a tie, left out and counted. Default: 0. */
  minMargin?: number
}

export interface PreferencePairs {
  /** [pairs]: indices of completions, counted through all groups in their order, as `preferenceLoss` takes them. */
  chosen: Int32Array
  rejected: Int32Array
  /** [pairs]: score of the chosen completion − score of the rejected one; above `minMargin`. */
  margins: Float64Array
  /** [pairs]: the group that each pair is of. */
  groups: Int32Array
  metrics: {
    pairs: number
    /** Candidates whose scores do not differ enough. */
    ties: number
    /** Completions without a score: in no pair. */
    unscored: number
    /** Groups that gave no pair. */
    dead_groups: number
  }
}

/** Scores per group and completion; null = unscored. */
export type GroupScores = readonly (readonly (number | null)[])[]

const rules = ['best_worst', 'all', 'adjacent'] as const

/** [position of the better, position of the worse] in an order from best to worst. */
function* candidates(rule: (typeof rules)[number], count: number): Generator<[number, number]> {
  if (count < 2) return
  if (rule === 'best_worst') yield [0, count - 1]
  else if (rule === 'adjacent') for (let at = 1; at < count; at++) yield [at - 1, at]
  else {
    for (let better = 0; better < count; better++) {
      for (let worse = better + 1; worse < count; worse++) yield [better, worse]
    }
  }
}

/** @throws AdjudgeError `ARGUMENT_INVALID` for an unknown rule, a negative margin, or a score that is not finite. */
function check(groups: GroupScores, rule: string, minMargin: number): void {
  const invalid = (message: string) => new AdjudgeError('ARGUMENT_INVALID', message)
  if (!rules.some((known) => known === rule)) throw invalid(`rule is "${rule}", expected one of ${rules.join(', ')}`)
  if (!(minMargin >= 0 && minMargin < Infinity)) {
    throw invalid(`minMargin is ${minMargin}, expected a finite number of at least 0`)
  }
  groups.forEach((scores, group) =>
    scores.forEach((score, index) => {
      if (score === null || Number.isFinite(score)) return
      throw invalid(`scores[${group}][${index}] is ${score}, expected a finite number, or null for unscored`)
    })
  )
}

/**
 * Pairs of each group's completions by their scores. Ties and unscored completions are left out and counted. Always the
 * same pairs in the same order: groups as given, in a group from the best on; of equal scores the first comes first.
 * @throws AdjudgeError `ARGUMENT_INVALID` for an unknown rule, a negative margin, or a score that is not finite.
 */
export function preferencePairs(groups: GroupScores, options: PreferencePairsOptions = {}): PreferencePairs {
  const { rule = 'best_worst', minMargin = 0 } = options
  check(groups, rule, minMargin)
  const pairs: { chosen: number; rejected: number; margin: number; group: number }[] = []
  const metrics = { pairs: 0, ties: 0, unscored: 0, dead_groups: 0 }
  let first = 0
  for (const [group, scores] of groups.entries()) {
    const ranked = scores.flatMap((score, index) => (score === null ? [] : [{ score, completion: first + index }]))
    ranked.sort((left, right) => right.score - left.score || left.completion - right.completion)
    const before = pairs.length
    for (const [better, worse] of candidates(rule, ranked.length)) {
      const [chosen, rejected] = [ranked[better]!, ranked[worse]!]
      const margin = chosen.score - rejected.score
      if (margin > minMargin) pairs.push({ chosen: chosen.completion, rejected: rejected.completion, margin, group })
      else metrics.ties++
    }
    metrics.unscored += scores.length - ranked.length
    if (pairs.length === before) metrics.dead_groups++
    first += scores.length
  }
  return {
    chosen: Int32Array.from(pairs, ({ chosen }) => chosen),
    rejected: Int32Array.from(pairs, ({ rejected }) => rejected),
    margins: Float64Array.from(pairs, ({ margin }) => margin),
    groups: Int32Array.from(pairs, ({ group }) => group),
    metrics: { ...metrics, pairs: pairs.length }
  }
}
