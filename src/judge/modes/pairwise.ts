/**
 * Two answers side by side, in both orders. Judges prefer a place (research measured up to 70 % flips on a swap): where
 * the orders disagree, the pair is a tie and the verdict says `swap_flip`.
 */
import { visibleAnswer } from '../fence.js'
import { describeRubric } from '../prompt.js'
import type { Combined, Field, FieldAnswer, Question } from '../question.js'
import type { Comparison, JudgeInput, Verdict } from '../types.js'
import { answerMaterial, frame } from './frame.js'
import { free, itemOf, notSent, sumCosts } from './merge.js'
import type { Mode, ModeContext } from './mode.js'

export const pairFields = (): Field[] => [field]

const field: Field = { name: 'better', kind: 'label', labels: ['A', 'B', 'tie'], description: 'the better answer' }

/** How far A is preferred: a tie is half for each. */
function combine(better: FieldAnswer): Combined {
  const { distribution, mass, value } = better
  const score = distribution ? distribution.A + distribution.tie / 2 : value === 'A' ? 1 : value === 'B' ? 0 : 0.5
  return {
    score,
    label: value as string,
    ...(distribution ? { distribution } : {}),
    ...(mass === undefined ? {} : { mass })
  }
}

function pairQuestion(input: JudgeInput, first: string, second: string, context: ModeContext): Question {
  const a = answerMaterial('Answer A:', 'ANSWER A', first)
  const b = answerMaterial('Answer B:', 'ANSWER B', second)
  const task = [
    describeRubric(context.rubric),
    'Two answers are compared by this rubric. Say which is better, A or B; "tie" where neither is. The order in which',
    'they are shown says nothing, nor does their length.'
  ].join('\n')
  return {
    ...frame({
      task,
      input,
      answers: [a, b],
      fields: [field],
      reasoning: context.reasoning === 'before',
      injected: a.injected || b.injected
    }),
    rule: { mode: 'pairwise' },
    combine: ({ better }) => combine(better)
  }
}

const winnerOf = (preference: number): 'first' | 'second' | 'tie' =>
  preference > 0.5 ? 'first' : preference < 0.5 ? 'second' : 'tie'

/** Compares two answers to one prompt (`input` has the prompt). Empty and equal answers are decided by rule. */
export async function comparePair(
  input: JudgeInput,
  first: string,
  second: string,
  context: ModeContext
): Promise<Comparison> {
  const [a, b] = [visibleAnswer(first), visibleAnswer(second)]
  if (a === b || a === '' || b === '') {
    const preference = a === b ? 0.5 : a === '' ? 0 : 1
    return { preference, winner: winnerOf(preference), ...free() }
  }
  const orders = await Promise.all([
    context.ask(pairQuestion(input, first, second, context)),
    context.ask(pairQuestion(input, second, first, context))
  ])
  return joinOrders(orders[0], orders[1])
}

function joinOrders(forward: Verdict, backward: Verdict): Comparison {
  const costs = sumCosts([forward, backward])
  const lost = [forward, backward].find(({ score }) => score === null)
  if (lost) {
    const { reason = 'provider_error', detail } = lost
    return { preference: null, winner: null, reason, ...(detail === undefined ? {} : { detail }), ...costs }
  }
  const shares = [forward.score!, 1 - backward.score!]
  const flipped = (shares[0] - 0.5) * (shares[1] - 0.5) < 0
  // Written verdicts that contradict each other give one half; probabilities keep how far each order went.
  const preference = (shares[0] + shares[1]) / 2
  const flags = flipped ? [...costs.flags, 'swap_flip' as const] : costs.flags
  return {
    preference,
    winner: flipped ? 'tie' : winnerOf(preference),
    orders: [shares[0], shares[1]],
    ...(forward.rationale === undefined ? {} : { rationale: forward.rationale }),
    ...costs,
    flags
  }
}

/** Scores an answer by how far it is preferred to the reference, in both orders. */
export const pairwise: Mode = {
  name: 'pairwise',
  together: false,
  fields: pairFields,
  judge: async (inputs, context) => {
    const { low, high } = context.rubric.scale
    return Promise.all(
      inputs.map(async (input): Promise<Verdict> => {
        const { reference, ...asked } = input
        if (reference === undefined) {
          const why = 'mode pairwise compares the answer with one (mode tournament compares answers with each other)'
          return notSent('missing_reference', `${itemOf(input)} has no reference; ${why}`)
        }
        const {
          preference,
          winner: _,
          orders: __,
          ...rest
        } = await comparePair(asked, input.completion, reference, context)
        return { score: preference === null ? null : low + preference * (high - low), ...rest }
      })
    )
  }
}
