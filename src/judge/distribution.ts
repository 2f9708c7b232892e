/** Scores as expectations over the probabilities of the score tokens (arXiv 2503.03064: the mean beats the mode). */
import type { ReplyToken } from './providers/provider.js'
import { choicesOf, type Field, type FieldAnswer, type FieldValue } from './question.js'

/** Below this probability on the menu the distribution says little about the judge's opinion: it is not used. */
export const leastMass = 0.5

export interface Spread {
  /** Probabilities over the labels, summing to 1. */
  distribution: Record<string, number>
  /** Their sum before that. */
  mass: number
}

/** Expectation (numbers), most probable value (labels) or majority (booleans) under a spread. */
export function answerFrom(field: Field, { distribution, mass }: Spread): FieldAnswer {
  if (field.kind === 'number') {
    let mean = 0
    for (const [label, probability] of Object.entries(distribution)) mean += Number(label) * probability
    return { value: Math.min(field.high, Math.max(field.low, mean)), distribution, mass }
  }
  const best = Object.entries(distribution).reduce((a, b) => (b[1] > a[1] ? b : a))[0]
  return { value: field.kind === 'boolean' ? best === 'true' : best, distribution, mass }
}

/** From log-probs of a closed set of choices, in their order. */
export function spreadOf(labels: string[], logProbs: ArrayLike<number>): Spread {
  const probabilities = labels.map((_, index) => Math.exp(logProbs[index] ?? -Infinity))
  const mass = probabilities.reduce((sum, p) => sum + p, 0)
  const distribution: Record<string, number> = {}
  labels.forEach((label, index) => (distribution[label] = mass > 0 ? probabilities[index] / mass : 0))
  return { distribution, mass }
}

/**
 * The spread at a field's place in a reply, from the tokens' alternatives. Undefined where the place cannot be told
 * apart: no tokens, the field's value split over tokens that do not line up, or no alternatives.
 * `10` may be one token or `1` and `0`: the mass of `1` then goes by what follows where that is known (the branch that
 * was written), and counts as off the menu where it is not.
 */
export function spreadAt(field: Field, text: string, tokens: ReplyToken[], value?: FieldValue): Spread | undefined {
  const labels = choicesOf(field)?.map(({ label }) => label)
  if (!labels || tokens.length === 0) return undefined
  const place = placeOf(field, text, value)
  if (place === undefined) return undefined
  let offset = 0
  let index = 0
  for (; index < tokens.length; index++) {
    const length = tokens[index].token.length
    if (offset + length > place) break
    offset += length
  }
  const token = tokens[index]
  if (!token || token.top.length === 0) return undefined
  // What the token holds before the value (a space, a quote) must stand before each alternative too.
  const lead = token.token.slice(0, place - offset)
  const probabilities: Record<string, number> = Object.fromEntries(labels.map((label) => [label, 0]))
  const written = token.token.slice(lead.length)
  const heads = token.top.map(({ token: head }) => head)
  if (!heads.includes(token.token)) heads.push(token.token)
  for (const { token: alternative, logProb } of withChosen(token)) {
    if (!alternative.startsWith(lead)) continue
    const head = alternative.slice(lead.length).replace(/["\s,}]+$/, '')
    if (head === '') continue
    const exact = labels.includes(head)
    const longer = labels.filter((label) => label !== head && label.startsWith(head))
    const probability = Math.exp(logProb)
    const split = longer.some((label) => !heads.some((other) => other.slice(lead.length).startsWith(label)))
    if (exact && !split) probabilities[head] += probability
    else if (exact || longer.length > 0) {
      if (alternative.slice(lead.length) !== written) continue
      const next = tokens[index + 1]
      if (!next) continue
      for (const { token: tail, logProb: tailLogProb } of withChosen(next)) {
        const rest = /^[\w.-]*/.exec(tail)![0]
        const label = head + rest
        if (labels.includes(label)) probabilities[label] += probability * Math.exp(tailLogProb)
      }
    }
  }
  const mass = Object.values(probabilities).reduce((sum, p) => sum + p, 0)
  if (!(mass > 0)) return { distribution: probabilities, mass: 0 }
  for (const label of labels) probabilities[label] /= mass
  return { distribution: probabilities, mass: Math.min(1, mass) }
}

function withChosen(token: ReplyToken): { token: string; logProb: number }[] {
  return token.top.some((entry) => entry.token === token.token)
    ? token.top
    : [...token.top, { token: token.token, logProb: token.logProb }]
}

/**
 * Index of a field's value in the reply: after its last key that is followed by `value`, if given (a quotation may have
 * another), or the first character of a bare value.
 */
function placeOf(field: Field, text: string, value: FieldValue | undefined): number | undefined {
  const matches = [...text.matchAll(new RegExp(`["']?${field.name}["']?\\s*:\\s*["']?`, 'g'))]
  const label = value === undefined ? '' : String(value)
  const last = matches.findLast(({ 0: key, index }) => {
    const rest = text.slice(index + key.length)
    return rest.startsWith(label) && (label === '' || !/^\w|^\.\d*[1-9]/.test(rest.slice(label.length)))
  })
  if (last) return last.index + last[0].length
  const bare = /^\s*["']?(?=[\w-])/.exec(text)
  return bare && text.trim().length <= 12 ? bare[0].length : undefined
}
