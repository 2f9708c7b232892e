/** The modes by name. */
import { Type } from '@sinclair/typebox'
import { AdjudgeError } from '../../errors.js'
import { nearest } from '../document.js'
import type { Rubric } from '../rubric.js'
import { checklist } from './checklist.js'
import { groupMode, type GroupOptions } from './group.js'
import { label } from './label.js'
import type { Mode } from './mode.js'
import { pairwise } from './pairwise.js'
import { pointwise, reference } from './pointwise.js'
import { tournamentMode, type TournamentOptions } from './tournament.js'

export type { Mode, ModeContext } from './mode.js'
export type { GroupOptions } from './group.js'
export type { TournamentOptions } from './tournament.js'

export const modeNames = ['pointwise', 'checklist', 'label', 'reference', 'pairwise', 'group', 'tournament'] as const
export type ModeName = (typeof modeNames)[number]

/** A mode with options of its own. */
export type ModeOptions =
  | { type: Exclude<ModeName, 'group' | 'tournament'> }
  | ({ type: 'group' } & GroupOptions)
  | ({ type: 'tournament' } & TournamentOptions)

const plain: Record<Exclude<ModeName, 'group' | 'tournament'>, Mode> = {
  pointwise,
  checklist,
  label,
  reference,
  pairwise
}

const closed = { additionalProperties: false }

/** As a configuration file has it. */
export const ModeSchema = Type.Union([
  ...modeNames.map((name) => Type.Literal(name)),
  Type.Object(
    {
      type: Type.Literal('group'),
      chunk: Type.Optional(Type.Integer({ minimum: 2, description: 'most answers in one call; default 10' })),
      overlap: Type.Optional(Type.Integer({ minimum: 1, description: 'answers that two chunks share; default 2' })),
      permutations: Type.Optional(Type.Integer({ minimum: 1, description: 'orders to judge in; default 1' })),
      missing: Type.Optional(Type.Union([Type.Literal('unscored'), Type.Literal('pointwise')]))
    },
    closed
  ),
  Type.Object(
    {
      type: Type.Literal('tournament'),
      rounds: Type.Optional(
        Type.Union([Type.Literal('all'), Type.Literal('swiss'), Type.Integer({ minimum: 1 })], { default: 'all' })
      )
    },
    closed
  ),
  Type.Object({ type: Type.Union(modeNames.map((name) => Type.Literal(name))) }, closed)
])

/** Throws JUDGE_INVALID on an unknown mode or an option out of its range. */
export function modeOf(given: ModeName | ModeOptions | Mode | undefined, rubric: Rubric): Mode {
  if (given === undefined) return rubric.labels ? label : pointwise
  if (typeof given === 'object' && 'judge' in given) return given
  const options = typeof given === 'string' ? ({ type: given } as ModeOptions) : given
  if (options.type === 'group') return groupMode(options)
  if (options.type === 'tournament') return tournamentMode(options)
  if (Object.hasOwn(plain, options.type)) return plain[options.type]
  const near = nearest(String(options.type), [...modeNames])
  const hint = near ? `did you mean ${near}?` : `expected one of ${modeNames.join(', ')}`
  throw new AdjudgeError('JUDGE_INVALID', `judge: mode is ${JSON.stringify(options.type)}; ${hint}`)
}
