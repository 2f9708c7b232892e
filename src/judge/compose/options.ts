/** What is said of a judge that is made of judges, and its checks. */
import { AdjudgeError } from '../../errors.js'
import { providersWithoutChance, type JudgeOptions } from '../options.js'
import type { Ledger } from '../ledger/ledger.js'
import type { Judge, Scale } from '../types.js'
import { aggregates, type Aggregate } from './aggregate.js'

/** What `createJudge` takes: one judge, a panel, or a cascade; members may be any of these, or judges at hand. */
export type JudgeSpec = JudgeOptions | PanelOptions | CascadeOptions

interface ComposedOptions {
  /** Shown in results; default: `panel` or `cascade`. */
  name?: string
  /** The scale of its verdicts, to which the members' are mapped; default: the first member's that is known. */
  scale?: Scale
  /** For the members that have none of their own. */
  ledger?: string | Ledger
  /** As of a single judge. */
  canaries?: number
  /** For all members together; each may have one of its own beside it. */
  budget?: JudgeOptions['budget']
}

export interface PanelSettings {
  scale?: Scale
  /** Default mean. */
  aggregate?: Aggregate
  /** One per member, above 0. Default: all alike. */
  weights?: readonly number[]
  /** Fewest members that must be scored; default: more than half. With fewer the verdict is unscored. */
  quorum?: number
}

export interface PanelOptions extends ComposedOptions, PanelSettings {
  panel: readonly (JudgeSpec | Judge)[]
}

/** When a cascade goes on to its next member; a member without a score always hands on. On the cascade's scale. */
export interface Escalate {
  /** Where the standard deviation, of the score's distribution or of a panel's members, is above this. */
  spread?: number
  /** Where the judge gave less than this probability to the scores as a whole. */
  mass?: number
  /** Where the most probable score or label has less than this probability. */
  confidence?: number
  /** The first two members both judge; the next is asked where the two before differ by more than this. */
  disagreement?: number
  /** Share of the inputs, in [0, 1], that the last member judges too, whatever the others say. */
  audit?: number
  /** Agreement, in [0, 1], below which the last pairs of audit or of the first two raise an alarm. Default 0.75. */
  leastAgreement?: number
}

export interface CascadeSettings {
  scale?: Scale
  escalate?: Escalate
}

export interface CascadeOptions extends ComposedOptions, CascadeSettings {
  cascade: readonly (JudgeSpec | Judge)[]
}

const problem = (text: string): AdjudgeError => new AdjudgeError('JUDGE_INVALID', `judge: ${text}`)

export const isJudge = (given: JudgeSpec | Judge): given is Judge => 'scoreOne' in given

/** Throws JUDGE_INVALID. */
export function checkPanel({ aggregate, weights, quorum }: PanelSettings, members: number, what = 'panel'): void {
  if (members < 2) throw problem(`${what} has ${members} members; expected at least 2`)
  if (aggregate !== undefined && !aggregates.includes(aggregate)) {
    throw problem(`aggregate is ${JSON.stringify(aggregate)}; expected ${aggregates.join(', ')}`)
  }
  if (weights && (weights.length !== members || !weights.every((weight) => weight > 0 && weight < Infinity))) {
    throw problem(`weights is ${JSON.stringify(weights)}; expected ${members} numbers above 0, one per member`)
  }
  if (quorum !== undefined && !(Number.isInteger(quorum) && quorum >= 1 && quorum <= members)) {
    throw problem(`quorum is ${quorum}; expected a whole number from 1 to ${members}, the number of members`)
  }
}

/** Throws JUDGE_INVALID. */
export function checkCascade({ escalate = {} }: CascadeSettings, members: number): void {
  if (members < 2) throw problem(`cascade has ${members} members; expected at least 2`)
  for (const [name, value] of Object.entries(escalate) as [keyof Escalate, number | undefined][]) {
    const share = name !== 'spread' && name !== 'disagreement'
    if (value === undefined || (value >= 0 && (!share || value <= 1))) continue
    throw problem(`escalate.${name} is ${value}; expected ${share ? 'a number from 0 to 1' : 'a number >= 0'}`)
  }
  if (escalate.disagreement !== undefined && members < 3) {
    throw problem('escalate.disagreement needs a third member, which is asked where the first two disagree')
  }
}

/** The votes of one judge as a panel: each with a seed of its own, and by default at temperature 1. */
export function votesOf(options: JudgeOptions): PanelOptions {
  const {
    votes = 1,
    aggregate,
    quorum,
    seed = 0,
    temperature = 1,
    name,
    ledger,
    budget,
    canaries: _,
    ...judge
  } = options
  const model = `${judge.provider}:${typeof judge.model === 'string' ? judge.model : 'model'}`
  if (!(Number.isInteger(votes) && votes >= 1)) throw problem(`votes is ${votes}; expected a whole number >= 1`)
  if (providersWithoutChance.includes(judge.provider)) {
    throw problem(`votes: provider ${judge.provider} gives the same verdict each time; remove votes`)
  }
  if (temperature === 0) throw problem('votes at temperature 0 are all alike; remove temperature, or set it above 0')
  const members = Array.from({ length: votes }, (_, vote) => ({
    ...judge,
    temperature,
    seed: seed + vote,
    name: `${name ?? model} #${vote + 1}`
  }))
  return {
    panel: members,
    name: name ?? `${votes} votes of ${model}`,
    ...(aggregate === undefined ? {} : { aggregate }),
    ...(quorum === undefined ? {} : { quorum }),
    ...(ledger === undefined ? {} : { ledger }),
    ...(budget === undefined ? {} : { budget })
  }
}
