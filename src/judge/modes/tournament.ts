/** Answers to a prompt against each other in pairs; ratings by Bradley and Terry, scores by the chance to win. */
import { AdjudgeError } from '../../errors.js'
import { visibleAnswer } from '../fence.js'
import type { Comparison, JudgeInput, Verdict } from '../types.js'
import { bradleyTerry, winProbabilities, type Game } from './bradleyTerry.js'
import { notSent, shareCosts, sumCosts } from './merge.js'
import type { Mode, ModeContext } from './mode.js'
import { comparePair, pairFields } from './pairwise.js'

export interface TournamentOptions {
  /**
   * `all`: every pair; `swiss`: rounds in which answers of like standing meet, log2 of their number and one more; or a
   * number of such rounds. Default `all`.
   */
  rounds?: 'all' | 'swiss' | number
}

export interface Standing {
  /** Log-odds units, mean 0. */
  rating: number
  standardError: number
  /** The mean probability to beat another of the answers; null where none of its games could be judged. */
  winProbability: number | null
}

export interface Tournament {
  standings: Standing[]
  comparisons: { first: number; second: number; comparison: Comparison }[]
}

/** Throws JUDGE_INVALID where `rounds` is none of its values. */
export function tournamentMode({ rounds = 'all' }: TournamentOptions = {}): Mode {
  if (rounds !== 'all' && rounds !== 'swiss' && !(Number.isInteger(rounds) && rounds > 0)) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: mode tournament: rounds is ${String(rounds)}; expected all, swiss or a whole number > 0`
    )
  }
  return {
    name: 'tournament',
    together: true,
    fields: pairFields,
    judge: (inputs, context) => judgeTournament(inputs, context, rounds)
  }
}

async function judgeTournament(
  inputs: readonly JudgeInput[],
  context: ModeContext,
  rounds: 'all' | 'swiss' | number
): Promise<Verdict[]> {
  const present = inputs.flatMap(({ completion }, index) => (visibleAnswer(completion) === '' ? [] : [index]))
  if (present.length < 2) {
    return inputs.map((_, index) =>
      present.includes(index)
        ? notSent('nothing_to_compare', 'a tournament needs two answers to the same prompt that are not empty')
        : context.empty()
    )
  }
  const answers = present.map((index) => inputs[index].completion)
  const { standings, comparisons } = await playTournament(inputs[present[0]], answers, context, rounds)
  const { low, high } = context.rubric.scale
  return inputs.map((_, index): Verdict => {
    const place = present.indexOf(index)
    if (place < 0) return context.empty()
    // A pair's price is borne by both.
    const own = comparisons.filter(({ first, second }) => first === place || second === place)
    const costs = sumCosts(own.map(({ first, comparison }) => shareCosts(comparison, 2, first === place ? 0 : 1)))
    const { rating, standardError, winProbability } = standings[place]
    if (winProbability === null) {
      const { reason = 'provider_error' as const, detail } =
        own.find(({ comparison }) => comparison.reason)?.comparison ?? {}
      return { score: null, reason, ...(detail === undefined ? {} : { detail }), ...costs }
    }
    return { score: low + winProbability * (high - low), rating, standardError, ...costs }
  })
}

/** Plays the pairs (each in both orders) and rates. A pair that could not be judged is left out. */
export async function playTournament(
  input: JudgeInput,
  answers: readonly string[],
  context: ModeContext,
  rounds: 'all' | 'swiss' | number
): Promise<Tournament> {
  const count = answers.length
  const comparisons: Tournament['comparisons'] = []
  const play = async (pairs: [number, number][]): Promise<void> => {
    const played = await Promise.all(
      pairs.map(async ([first, second]) => ({
        first,
        second,
        comparison: await comparePair(input, answers[first], answers[second], context)
      }))
    )
    comparisons.push(...played)
  }
  if (rounds === 'all') await play(allPairs(count))
  else {
    const limit = Math.min(count - 1, rounds === 'swiss' ? Math.ceil(Math.log2(count)) + 1 : rounds)
    for (let round = 0; round < limit; round++) await play(swissPairs(count, comparisons))
  }
  const games = comparisons.flatMap(({ first, second, comparison: { preference } }): Game[] =>
    preference === null ? [] : [{ first, second, share: preference }]
  )
  const { ratings, standardErrors } = bradleyTerry(count, games)
  const chances = winProbabilities(ratings)
  return {
    comparisons,
    standings: ratings.map((rating, index) => ({
      rating,
      standardError: standardErrors[index],
      winProbability: games.some(({ first, second }) => first === index || second === index) ? chances[index] : null
    }))
  }
}

const allPairs = (count: number): [number, number][] =>
  Array.from({ length: count }, (_, first) =>
    Array.from({ length: count - first - 1 }, (__, offset): [number, number] => [first, first + 1 + offset])
  ).flat()

/** A round: answers of like standing meet. */
function swissPairs(count: number, played: Tournament['comparisons']): [number, number][] {
  const points = new Array<number>(count).fill(0)
  const met = new Set<string>()
  for (const { first, second, comparison } of played) {
    met.add(`${first} ${second}`).add(`${second} ${first}`)
    points[first] += comparison.preference ?? 0.5
    points[second] += 1 - (comparison.preference ?? 0.5)
  }
  const waiting = Array.from({ length: count }, (_, index) => index).sort((a, b) => points[b] - points[a] || a - b)
  return matched(waiting, met, { left: 10_000 }) ?? []
}

/**
 * Pairs of neighbours that have not met, as near as all can have; of an odd number one sits out, the lowest that can.
 * `steps` bounds the search; beyond it the best-placed go unpaired.
 */
function matched(
  waiting: readonly number[],
  met: ReadonlySet<string>,
  steps: { left: number }
): [number, number][] | undefined {
  if (waiting.length < 2) return []
  const [first, ...others] = waiting
  for (const second of others) {
    if (met.has(`${first} ${second}`)) continue
    if (steps.left-- <= 0) break
    const rest = matched(
      others.filter((other) => other !== second),
      met,
      steps
    )
    if (rest) return [[first, second], ...rest]
  }
  return waiting.length % 2 === 1 || steps.left <= 0 ? matched(others, met, steps) : undefined
}
