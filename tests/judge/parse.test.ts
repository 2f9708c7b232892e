import { describe, expect, it } from 'vitest'
import { parseReply } from '../../src/judge/parse.js'
import { spreadAt } from '../../src/judge/distribution.js'
import type { Field } from '../../src/judge/question.js'
import type { ReplyToken } from '../../src/judge/providers/provider.js'

const score: Field = { name: 'score', kind: 'number', low: 1, high: 5, integer: true }
const wide: Field = { ...score, high: 10 }
const value = (text: string, field: Field = score): unknown => {
  const parsed = parseReply(text, [field])
  return parsed.ok ? parsed.answers[field.name].value : parsed.reason
}

describe('what a reply is read as', () => {
  it.each([
    ['{"score": 4}', 4],
    ['```json\n{"score": 4}\n```', 4],
    ['Here is my verdict:\n{"reasoning": "fine", "score": 4} Hope it helps.', 4],
    ["{'score': 4, 'reasoning': 'he said \"no\"',}", 4],
    ['{score: 4, // four\n /* of five */ }', 4],
    ['{"reasoning": "line\nbreak", "score": 4}', 4],
    ['{"score": 4, "reasoning": "cut in the mid', 4],
    ['<think>perhaps {"score": 1}</think>{"score": 4}', 4],
    ['The answer claims {"score": 5}. Mine: {"score": 2}', 2],
    ['4', 4],
    ['**4**', 4],
    ['[[4]]', 4],
    ['4/5', 4],
    ['Score: 4', 4],
    ['The answer says "Score: 5" but it is rude.\nScore: 2', 2],
    ['I would rate it. Rating: 4 out of 5.', 4]
  ])('%j is %j', (text, expected) => expect(value(text)).toBe(expected))

  it.each([
    ['', 'unparseable'],
    ['four', 'unparseable'],
    ['{"score": "4"}', 'unparseable'],
    ['{"score": 4/5}', 'unparseable'],
    ['{"score": 4', 'unparseable'],
    ['{"score":', 'unparseable'],
    ['{"score": true}', 'unparseable'],
    ['{"score": [4]}', 'unparseable'],
    ['{"score": {"value": 4}}', 'unparseable'],
    ['{score: 4, score: 5,}', 'unparseable'],
    ['{"rating": 4}', 'unparseable'],
    ['In 2024 there were 4 of them.', 'unparseable'],
    ['Score: 37.0', 'out_of_range'],
    ['[[90]]', 'out_of_range'],
    ['4/10', 'out_of_range'],
    ['{"score": 0}', 'out_of_range'],
    ['{"score": 1e9}', 'out_of_range'],
    ['Score: 45%', 'unparseable']
  ])('%j has no score: %s', (text, expected) => expect(value(text)).toBe(expected))

  it('takes a cut reply only where its values are whole', () => {
    expect(parseReply('{"score": 4, "reasoning": "and th', [score], true).ok).toBe(true)
    expect(parseReply('Score: 4', [score], true).ok).toBe(false)
    expect(parseReply('4', [score], true).ok).toBe(false)
  })

  it('reads labels and truth values only as they are listed', () => {
    const label: Field = { name: 'result', kind: 'label', labels: ['good', 'bad'] }
    expect(value('{"result": "good"}', label)).toBe('good')
    expect(value('"bad"', label)).toBe('bad')
    expect(value('Good', label)).toBe('unparseable')
    expect(value('{"ok": "yes"}', { name: 'ok', kind: 'boolean' })).toBe('unparseable')
  })
})

it('whatever is done to a reply, a score is whole and in range, or there is none', () => {
  let seed = 1
  const random = (n: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % n
  const seeds = [
    '{"reasoning": "It is fine, 4 of 5.", "score": 4}',
    '```json\n{score: 4,}\n```',
    'Score: 4/5',
    '[[4]]',
    '{"a": [{"score": 2}]}'
  ]
  const marks = [
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '\\',
    '\n',
    '//',
    '/*',
    '-',
    '.',
    '0',
    '9',
    'e',
    'NaN',
    'score',
    ' '
  ]
  let scored = 0
  for (let round = 0; round < 20_000; round++) {
    let text = seeds[random(seeds.length)]
    for (let edits = random(6); edits > 0; edits--) {
      const at = random(text.length + 1)
      text = text.slice(0, at) + marks[random(marks.length)] + text.slice(at + random(3))
    }
    const parsed = parseReply(text, [score], random(4) === 0)
    if (!parsed.ok) continue
    scored++
    expect([1, 2, 3, 4, 5]).toContain(parsed.answers.score.value)
  }
  expect(scored).toBeGreaterThan(1000)
})

describe('the spread over score tokens', () => {
  const token = (text: string, top: Record<string, number>): ReplyToken => ({
    token: text,
    logProb: Math.log(top[text] ?? 1),
    top: Object.entries(top).map(([token, p]) => ({ token, logProb: Math.log(p) }))
  })

  it('reads the place after the key, with a space or quote in the token', () => {
    const tokens = [token('{"score":', {}), token(' 4', { ' 4': 0.5, ' 2': 0.4, '4': 0.05 }), token('}', {})]
    const spread = spreadAt(score, '{"score": 4}', tokens)!
    expect(spread.mass).toBeCloseTo(0.9)
    expect(spread.distribution['2']).toBeCloseTo(0.4 / 0.9)
  })

  it('splits 1 and 10 by what follows where 10 takes two tokens', () => {
    const tokens = [token('1', { '1': 0.8, '7': 0.2 }), token('0', { '0': 0.75, '': 0.25 })]
    const spread = spreadAt(wide, '10', tokens)!
    expect(spread.distribution['10']).toBeCloseTo(0.6)
    expect(spread.distribution['1']).toBeCloseTo(0.2)
    expect(spread.distribution['7']).toBeCloseTo(0.2)
  })

  it('counts an ambiguous branch that was not written as off the menu', () => {
    const spread = spreadAt(wide, '7', [token('7', { '7': 0.6, '1': 0.4 })])!
    expect(spread.mass).toBeCloseTo(0.6)
    expect(spread.distribution['1']).toBe(0)
  })

  it('takes 1 as 1 where 10 is a token of its own', () => {
    const spread = spreadAt(wide, '1', [token('1', { '1': 0.6, '10': 0.4 })])!
    expect(spread.mass).toBeCloseTo(1)
    expect(spread.distribution['10']).toBeCloseTo(0.4)
  })
})
