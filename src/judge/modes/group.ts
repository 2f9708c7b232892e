/**
 * All answers to a prompt in one call, as RULER does, but shuffled by their content and under names that say nothing:
 * the judge sees how they differ, and places do not help. Names that are missing or invented are asked for once more;
 * what is then still missing stays unscored.
 */
import { createHash } from 'node:crypto'
import { AdjudgeError } from '../../errors.js'
import { visibleAnswer } from '../fence.js'
import { describeRubric } from '../prompt.js'
import type { Answers, Combined, Field, Question } from '../question.js'
import { isIntegerScale, type Rubric } from '../rubric.js'
import type { JudgeInput, Verdict } from '../types.js'
import { bradleyTerry, type Game } from './bradleyTerry.js'
import { answerMaterial, frame } from './frame.js'
import { shareCosts, sumCosts } from './merge.js'
import type { Mode, ModeContext } from './mode.js'
import { pointwise } from './pointwise.js'

export interface GroupOptions {
  /** Most answers in one call; longer groups go in overlapping chunks. Default 10. */
  chunk?: number
  /** Answers that neighbouring chunks have in common. Default 2. */
  overlap?: number
  /** How often the group is judged, each time in another order; the scores are averaged. Default 1. */
  permutations?: number
  /** What becomes of an answer that the judge forgot twice: `unscored` (default), or judged by itself. */
  missing?: 'unscored' | 'pointwise'
}

/** Throws JUDGE_INVALID where an option is out of its range. */
export function groupMode(options: GroupOptions = {}): Mode {
  const { chunk = 10, overlap = 2, permutations = 1, missing = 'unscored' } = options
  const whole = (name: string, value: number, least: number): void => {
    if (Number.isInteger(value) && value >= least) return
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: mode group: ${name} is ${value}; expected a whole number >= ${least}`
    )
  }
  whole('chunk', chunk, 2)
  whole('overlap', overlap, 1)
  whole('permutations', permutations, 1)
  if (overlap >= chunk) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: mode group: overlap is ${overlap}; expected less than chunk (${chunk})`
    )
  }
  return {
    name: 'group',
    together: true,
    fields: (rubric) => [fieldOf('answer', rubric.scale, isIntegerScale(rubric))],
    judge: (inputs, context) => judgeGroup(inputs, context, { chunk, overlap, permutations, missing })
  }
}

const fieldOf = (name: string, { low, high }: Rubric['scale'], integer: boolean): Field => ({
  name,
  kind: 'number',
  low,
  high,
  integer
})

/** An answer that several completions may have in common. */
interface Candidate {
  text: string
  members: number[]
}

async function judgeGroup(
  inputs: readonly JudgeInput[],
  context: ModeContext,
  options: Required<GroupOptions>
): Promise<Verdict[]> {
  const verdicts = new Array<Verdict>(inputs.length)
  const byText = new Map<string, Candidate>()
  inputs.forEach(({ completion }, index) => {
    const text = visibleAnswer(completion)
    if (text === '') verdicts[index] = context.empty()
    else {
      const known = byText.get(text)
      if (known) known.members.push(index)
      else byText.set(text, { text, members: [index] })
    }
  })
  // By content: neither the order of arrival nor that of the rollout says where an answer stands.
  const candidates = [...byText.values()].sort((a, b) => compare(digest(a.text), digest(b.text)))
  if (candidates.length === 0) return verdicts
  const calls = await Promise.all(
    Array.from({ length: options.permutations }, (_, round) => shuffled(candidates, round)).flatMap((order) =>
      chunksOf(order, options).map((chunk) => askGroup(inputs[0], chunk, context))
    )
  )
  const costs = sumCosts(calls.map(({ verdict }) => verdict))
  const scores = joined(candidates, calls, context.rubric)
  const judged = inputs.length - verdicts.filter((verdict) => verdict !== undefined).length
  let place = 0
  for (const [index, candidate] of candidates.entries()) {
    const score = scores[index]
    const alone = score === null && options.missing === 'pointwise'
    const [own] = alone ? await pointwise.judge([inputs[candidate.members[0]]], context) : []
    for (const [order, member] of candidate.members.entries()) {
      const part = shareCosts(costs, judged, place++)
      if (own) {
        const paid = shareCosts(own, candidate.members.length, order)
        verdicts[member] = { ...own, ...sumCosts([part, paid]) }
      } else if (score !== null) verdicts[member] = { score, ...rationaleOf(calls), ...part }
      else verdicts[member] = { score: null, ...failureOf(candidate, calls), ...part }
    }
  }
  return verdicts
}

interface Call {
  chunk: readonly Candidate[]
  /** By candidate of the chunk; null where the judge gave none. */
  scores: (number | null)[]
  verdict: Verdict
}

async function askGroup(input: JudgeInput, chunk: readonly Candidate[], context: ModeContext): Promise<Call> {
  const names = namesOf(chunk)
  const verdict = await context.ask(groupQuestion(input, chunk, names, context))
  return { chunk, verdict, scores: names.map((name) => verdict.criteria?.[name] ?? null) }
}

function groupQuestion(
  input: JudgeInput,
  chunk: readonly Candidate[],
  names: readonly string[],
  context: ModeContext
): Question {
  const { rubric } = context
  const materials = chunk.map(({ text }, index) =>
    answerMaterial(`Answer ${names[index]}:`, `ANSWER ${names[index]}`, text)
  )
  const task = [
    describeRubric(rubric),
    'Several answers to the same conversation are judged together by this rubric. Give each a score on the scale; better',
    'answers get higher scores, and equally good ones the same. An answer that breaks a criterion which is true or false',
    'gets the lowest score. The names and the order of the answers say nothing.'
  ].join('\n')
  return {
    ...frame({
      task,
      input,
      answers: materials,
      fields: names.map((name) => ({
        ...fieldOf(name, rubric.scale, isIntegerScale(rubric)),
        description: `the score of answer ${name}`
      })),
      reasoning: context.reasoning === 'before',
      injected: materials.some(({ injected }) => injected)
    }),
    partial: true,
    rule: { mode: 'group' },
    combine: (answers) => combine(names, answers)
  }
}

/** The scores by name. Where some are missing the whole is no verdict to be found again, but what was given counts. */
function combine(names: readonly string[], answers: Answers): Combined {
  const criteria = Object.fromEntries(
    names.map((name) => [name, ((answers[name] as Answers[string] | undefined)?.value as number | undefined) ?? null])
  )
  const given = Object.values(criteria).filter((score) => score !== null)
  const lost = names.filter((name) => criteria[name] === null)
  if (lost.length > 0) {
    const detail = `the judge gave no score for ${lost.length} of ${names.length} answers`
    return { score: null, reason: 'unparseable', detail, criteria }
  }
  return { score: given.reduce((sum, score) => sum + score, 0) / given.length, criteria }
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex')
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Four letters each that depend on the whole chunk, so that no answer can know its own. */
function namesOf(chunk: readonly Candidate[]): string[] {
  const seed = digest(chunk.map(({ text }) => digest(text)).join())
  const names: string[] = []
  for (let count = 0; names.length < chunk.length; count++) {
    const bytes = createHash('sha256').update(`${seed} ${count}`).digest()
    const name = Array.from(bytes.subarray(0, 4), (byte) => String.fromCharCode(97 + (byte % 26))).join('')
    if (!names.includes(name)) names.push(name)
  }
  return names
}

function shuffled(candidates: readonly Candidate[], round: number): Candidate[] {
  const seed = candidates.map(({ text }) => digest(text)).join()
  return candidates
    .map((candidate) => ({ candidate, rank: digest(`${round} ${candidate.text} ${seed}`) }))
    .sort((a, b) => compare(a.rank, b.rank))
    .map(({ candidate }) => candidate)
}

/** Equal chunks in a ring, each sharing `overlap` answers with the next, so that their scales can be joined. */
function chunksOf(order: readonly Candidate[], { chunk, overlap }: Required<GroupOptions>): Candidate[][] {
  if (order.length <= chunk) return [[...order]]
  const count = Math.ceil(order.length / (chunk - overlap))
  return Array.from({ length: count }, (_, index) => {
    const start = Math.floor((index * order.length) / count)
    const end = Math.floor(((index + 1) * order.length) / count) + overlap
    return Array.from({ length: end - start }, (__, offset) => order[(start + offset) % order.length])
  })
}

/**
 * One score per candidate. A candidate that was seen in one order only keeps the mean of its scores; over chunks the
 * scores are relative to their company, so the order comes from Bradley and Terry's ratings of all pairs within chunks,
 * and the scale from the line through the scores that were given.
 */
function joined(candidates: readonly Candidate[], calls: readonly Call[], { scale }: Rubric): (number | null)[] {
  const given: number[][] = candidates.map(() => [])
  const indexOf = new Map(candidates.map((candidate, index) => [candidate, index]))
  for (const { chunk, scores } of calls) {
    scores.forEach((score, place) => {
      if (score !== null) given[indexOf.get(chunk[place])!].push(score)
    })
  }
  const means = given.map((scores) =>
    scores.length === 0 ? null : scores.reduce((sum, score) => sum + score, 0) / scores.length
  )
  if (calls.every(({ chunk }) => chunk.length === candidates.length)) return means
  const { ratings } = bradleyTerry(candidates.length, gamesOf(calls, indexOf, scale))
  const known = means.flatMap((mean, index) => (mean === null ? [] : [{ mean, rating: ratings[index] }]))
  const line = lineThrough(known)
  return means.map((mean, index) =>
    mean === null ? null : Math.min(scale.high, Math.max(scale.low, line.offset + line.slope * ratings[index]))
  )
}

/** Each pair within a call is a game; by how much the scores differ is how clearly it was won. */
function gamesOf(calls: readonly Call[], indexOf: Map<Candidate, number>, { low, high }: Rubric['scale']): Game[] {
  return calls.flatMap(({ chunk, scores }) =>
    chunk.flatMap((first, i) =>
      chunk.slice(i + 1).flatMap((second, offset) => {
        const [a, b] = [scores[i], scores[i + 1 + offset]]
        if (a === null || b === null) return []
        return [{ first: indexOf.get(first)!, second: indexOf.get(second)!, share: 0.5 + (a - b) / (2 * (high - low)) }]
      })
    )
  )
}

function lineThrough(points: readonly { mean: number; rating: number }[]): { slope: number; offset: number } {
  const count = Math.max(1, points.length)
  const x = points.reduce((sum, { rating }) => sum + rating, 0) / count
  const y = points.reduce((sum, { mean }) => sum + mean, 0) / count
  const square = points.reduce((sum, { rating }) => sum + (rating - x) ** 2, 0)
  const product = points.reduce((sum, { rating, mean }) => sum + (rating - x) * (mean - y), 0)
  const slope = square > 0 ? product / square : 0
  return { slope, offset: y - slope * x }
}

function rationaleOf(calls: readonly Call[]): { rationale?: string } {
  const rationale = calls.length === 1 ? calls[0].verdict.rationale : undefined
  return rationale === undefined ? {} : { rationale }
}

function failureOf(candidate: Candidate, calls: readonly Call[]): Pick<Verdict, 'reason' | 'detail'> {
  const { verdict } = calls.find(({ chunk }) => chunk.includes(candidate))!
  return {
    reason: verdict.reason ?? 'unparseable',
    detail: verdict.detail ?? 'the judge gave no score for this answer'
  }
}
