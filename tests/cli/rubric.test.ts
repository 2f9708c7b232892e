import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../src/binding/load.js'
import { lintRubric } from '../../src/judge/index.js'
import { cli } from './cli.js'

let folder: string
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'adjudge-rubric-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const file = (name: string): string => join(folder, name)
const templates = readdirSync(join(packageRoot, 'assets', 'rubrics')).map((name) => name.replace('.yaml', ''))
/** `line rule` of each finding. */
const found = (...lines: string[]): string[] => lintRubric(lines.join('\n')).map(({ line, rule }) => `${line} ${rule}`)

describe('adjudge rubric init', () => {
  it.each(templates)('writes the template %s, which its own linter finds nothing in', async (template) => {
    expect(await cli('rubric', 'init', file('r.yaml'), '--template', template)).toMatchObject({ code: 0 })
    const lint = await cli('rubric', 'lint', file('r.yaml'), '--strict')
    expect(lint).toMatchObject({ code: 0, out: '0 errors, 0 warnings\n' })
  })

  it('lists the templates, refuses to replace a file, and knows a mistyped name', async () => {
    const { out } = await cli('rubric', 'init', '--list')
    expect(out.trim().split('\n')).toHaveLength(templates.length)
    writeFileSync(file('r.yaml'), 'mine')
    expect(await cli('rubric', 'init', file('r.yaml'))).toMatchObject({
      code: 1,
      err: expect.stringContaining('--force')
    })
    expect(readFileSync(file('r.yaml'), 'utf8')).toBe('mine')
    expect(await cli('rubric', 'init', file('x.yaml'), '--template', 'sumary')).toMatchObject({
      code: 1,
      err: expect.stringContaining('did you mean summary?')
    })
  })
})

describe('adjudge rubric lint', () => {
  const scale = 'scale: { low: 1, high: 5, anchors: { 1: a lie, 5: every fact holds } }'

  it.each<[string, string[], string[]]>([
    ['a vague word', ['aim: How good the answer is', scale], ['1 vague-word']],
    ['no anchors', ['aim: Facts', 'scale: { low: 1, high: 5 }'], ['2 missing-anchors']],
    [
      'an end without anchor',
      ['aim: Facts', 'scale:', '  low: 1', '  high: 5', '  anchors:', '    1: a lie'],
      ['5 missing-end-anchor']
    ],
    ['a rating of another range', ['aim: Facts, rated 1-10', scale], ['1 scale-mismatch']],
    ['years are no range', ['aim: Facts of 1914-1918', scale], []],
    ['another range', ['aim: Rate the facts from 1 to 10', scale], ['1 scale-mismatch']],
    [
      'another range in words',
      [
        'aim: Facts',
        'scale:',
        '  low: 1',
        '  high: 5',
        '  anchors:',
        '    1: a lie',
        '    5: a rating of 10 out of 10'
      ],
      ['7 scale-mismatch']
    ],
    [
      'the same level twice',
      ['aim: Facts', 'scale:', '  low: 1', '  high: 3', '  anchors: { 1: a lie, 2: it holds,', '    3: it holds }'],
      ['6 overlapping-levels']
    ],
    [
      'an anchor between scores',
      ['aim: Facts', 'scale: { low: 1, high: 3, anchors: { 1: a lie, 1.5: doubt, 3: holds } }'],
      ['2 anchor-off-scale']
    ],
    [
      'a wide scale',
      ['aim: Facts', 'scale: { low: 0, high: 100, anchors: { 0: a lie, 100: holds } }'],
      ['2 wide-scale']
    ],
    [
      'two questions',
      ['aim: Facts', scale, 'criteria:', '  - { name: tone, description: it is calm and it is short }'],
      ['4 double-barrelled']
    ],
    [
      'a list is one question',
      ['aim: Facts', scale, 'criteria:', '  - { name: form, description: "grammar, spelling and idiom" }'],
      []
    ],
    [
      'a negation',
      ['aim: Facts', scale, 'criteria:', '  - { name: facts_right }', '  - { name: no_promises, veto: true }'],
      ['5 negation']
    ],
    ['one word', ['aim: Facts', scale, 'criteria:', '  - name: tone'], ['4 undescribed-criterion']],
    ['length alone', ['aim: Facts', scale, 'criteria:', '  - { name: size, description: brevity }'], ['4 length-only']],
    [
      'like weights',
      ['aim: Facts', scale, 'criteria:', '  - { name: is_true, weight: 2 }', '  - { name: is_new, weight: 2 }'],
      ['4 weight-without-effect']
    ],
    ['vetoes only', ['aim: Facts', scale, 'criteria:', '  - { name: is_true, veto: true }'], ['3 only-vetoes']],
    [
      'labels alike',
      ['aim: Facts', 'scale: { low: 0, high: 1 }', 'labels: { a: { score: 1 }, b: { score: 1 } }'],
      ['3 labels-without-effect']
    ],
    ['no rubric', ['aim: Facts', 'scale: { low: 5, high: 1 }'], ['2 invalid']]
  ])('finds %s', (_, lines, expected) => {
    expect(found(...lines)).toEqual(expected)
  })

  it('ends with 1 on errors only, says file, line and rule, also as JSON', async () => {
    writeFileSync(file('warned.yaml'), `aim: How good it is\n${scale}\n`)
    expect(await cli('rubric', 'lint', file('warned.yaml'))).toMatchObject({
      code: 0,
      out: expect.stringMatching(/warned\.yaml:1: warning vague-word: "good".*\n0 errors, 1 warnings/)
    })
    expect(await cli('rubric', 'lint', file('warned.yaml'), '--strict')).toMatchObject({ code: 1 })
    writeFileSync(file('wrong.yaml'), `aim: Facts\nscal: 1\n`)
    const { code, out } = await cli('rubric', 'lint', file('wrong.yaml'), '--json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toContainEqual({
      file: file('wrong.yaml'),
      rule: 'invalid',
      severity: 'error',
      line: 2,
      message: expect.stringContaining('did you mean scale?') as string
    })
  })
})

describe('adjudge rubric preview', () => {
  it("shows what the judge is shown of a file's row, with its tokens estimated and counted", async () => {
    writeFileSync(file('r.yaml'), 'aim: Facts\nscale: { low: 1, high: 5 }\n')
    writeFileSync(file('a.csv'), 'prompt,reply\nFirst?,one\nSecond?,two\n')
    const args = ['rubric', 'preview', file('r.yaml'), '--data', file('a.csv'), '--answer', 'reply', '--item', '2']
    const { code, out } = await cli(...args)
    expect(code).toBe(0)
    expect(out).toMatch(/--- system\n[\s\S]*--- user\n[\s\S]*Facts[\s\S]*Second\?[\s\S]*two\n<<<END ANSWER/)
    expect(out).toMatch(/about \d+ tokens \(\d+ characters, estimated/)
    const counted = await cli(...args, '--model', join(packageRoot, 'assets', 'judge'))
    expect(counted.out).toMatch(/\n\d+ tokens with the chat template .*; as a native judge 1 prompts of \d+ tokens/)
    expect(await cli(...args.slice(0, -1), '3')).toMatchObject({ code: 1, err: expect.stringContaining('has 2 rows') })
  })

  it('without data shows an example, in the mode that is asked for', async () => {
    writeFileSync(file('r.yaml'), 'aim: Facts\nscale: { low: 1, high: 5 }\n')
    const { out } = await cli('rubric', 'preview', file('r.yaml'), '--mode', 'pairwise')
    expect(out).toContain('call 2 of 2')
    expect(out).toContain('ANSWER B')
  })
})
