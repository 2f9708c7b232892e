/** What makes a rubric judge worse than it could, found by rules with names that do not change. */
import { isAdjudgeError } from '../errors.js'
import { lineFinder } from './document.js'
import { choicesOf } from './question.js'
import { fieldsOf } from './prompt.js'
import { isIntegerScale, parseRubric, type Criterion, type Rubric } from './rubric.js'

export interface LintFinding {
  rule: LintRule
  /** An error makes verdicts wrong; a warning makes them worse. */
  severity: 'error' | 'warning'
  /** From 1. */
  line: number
  message: string
}

/** Each rule and what it finds. */
export const lintRules = {
  invalid: 'the file is no rubric',
  'scale-mismatch': 'a text names another range than the scale',
  'overlapping-levels': 'two anchors say the same, or nearly the same',
  'missing-anchors': 'no anchors: what a score means is left to the judge',
  'missing-end-anchor': 'the lowest or the highest score has no anchor',
  'anchor-off-scale': 'an anchor stands at a score that the judge cannot give',
  'vague-word': 'a word that every judge reads in its own way',
  'double-barrelled': 'two questions in one criterion',
  negation: 'a criterion is put in the negative: a yes is easily given for a no',
  'undescribed-criterion': 'a criterion is one word without a description',
  'length-only': 'a criterion asks for nothing but length',
  'weight-without-effect': 'weights that make no difference',
  'labels-without-effect': 'all labels have the same score',
  'only-vetoes': 'all criteria are vetoes',
  'wide-scale': 'the scale has too many scores for their probabilities to be read'
} as const

export type LintRule = keyof typeof lintRules

const vague = [
  ...[
    'good',
    'bad',
    'great',
    'poor',
    'nice',
    'fine',
    'decent',
    'excellent',
    'perfect',
    'terrible',
    'average',
    'better'
  ],
  ...[
    'appropriate',
    'adequate',
    'proper',
    'properly',
    'suitable',
    'reasonable',
    'satisfactory',
    'acceptable',
    'effective'
  ],
  ...['quality', 'high-quality', 'well-written', 'interesting', 'engaging', 'natural', 'somewhat', 'fairly', 'mostly']
]

/** Findings in the order of their lines; none where nothing is amiss. */
export function lintRubric(yaml: string, file = 'rubric'): LintFinding[] {
  const lineOf = lineFinder(yaml)
  let rubric: Rubric
  try {
    rubric = parseRubric(yaml, file)
  } catch (error) {
    if (!isAdjudgeError(error)) throw error
    return error.message.split('\n').map((message) => {
      const place = message.startsWith(`${file}:`) ? /^(\d+): /.exec(message.slice(file.length + 1)) : null
      const text = place ? message.slice(file.length + 1 + place[0].length) : message
      return { rule: 'invalid', severity: 'error', line: Number(place?.[1] ?? 1), message: text }
    })
  }
  const findings: LintFinding[] = []
  const tell: Tell = (rule, path, message, severity = 'warning') =>
    findings.push({ rule, severity, line: lineOf(path), message })
  lintTexts(rubric, tell)
  lintScale(rubric, tell)
  lintCriteria(rubric, tell)
  return findings.sort((a, b) => a.line - b.line)
}

type Tell = (rule: LintRule, path: string, message: string, severity?: 'error' | 'warning') => void

function textsOf(rubric: Rubric): { path: string; text: string }[] {
  const anchors = (path: string, of: Record<string, string> = {}): { path: string; text: string }[] =>
    Object.entries(of).map(([score, text]) => ({ path: `${path}/anchors/${score}`, text }))
  return [
    { path: '/aim', text: rubric.aim },
    ...anchors('/scale', rubric.scale.anchors),
    ...(rubric.criteria ?? []).flatMap(({ description = '', anchors: of }, index) => [
      { path: `/criteria/${index}/description`, text: description },
      ...anchors(`/criteria/${index}`, of)
    ]),
    ...Object.entries(rubric.labels ?? {}).map(([name, { description = '' }]) => ({
      path: `/labels/${name}/description`,
      text: description
    }))
  ]
}

function lintTexts(rubric: Rubric, tell: Tell): void {
  const { low, high } = rubric.scale
  for (const { path, text } of textsOf(rubric)) {
    const words = text.toLowerCase().match(/[\p{L}][\p{L}'-]*/gu) ?? []
    const found = words.filter((word) => vague.includes(word))
    if (found.length > 0) {
      tell('vague-word', path, `"${found[0]}" says nothing that a judge can look for; expected what a reader would see`)
    }
    for (const [whole, from, to] of text.matchAll(/\b(\d+)\s*(?:-|–|to|bis)\s*(\d+)\b/g)) {
      const scaled = /\b(scale|scores?|rated?|rating|points?|from)\b/i.test(text)
      if (scaled && (Number(from) !== low || Number(to) !== high)) {
        tell('scale-mismatch', path, `"${whole}" is another range than the scale, ${low} to ${high}`, 'error')
      }
    }
    const most = /\bout of (\d+)\b/i.exec(text)
    if (most && Number(most[1]) !== high && /\b(scale|scores?|rated?|rating|points?)\b/i.test(text)) {
      tell('scale-mismatch', path, `"${most[0]}" is another range than the scale, ${low} to ${high}`, 'error')
    }
  }
}

function lintScale(rubric: Rubric, tell: Tell): void {
  const { scale, criteria = [], labels } = rubric
  const scored = criteria.filter(({ veto }) => !veto)
  if (labels) {
    if (new Set(Object.values(labels).map(({ score }) => score)).size === 1) {
      tell('labels-without-effect', '/labels', 'all labels have the same score: every verdict will be alike', 'error')
    }
    return
  }
  const all = [
    { path: '/scale', anchors: scale.anchors, wanted: scored.length === 0 },
    ...criteria.flatMap(({ veto, anchors }, index) =>
      veto ? [] : [{ path: `/criteria/${index}`, anchors, wanted: !scale.anchors }]
    )
  ]
  for (const { path, anchors, wanted } of all) {
    if (!anchors || Object.keys(anchors).length === 0) {
      if (wanted)
        tell('missing-anchors', path, `there are no anchors; expected what ${scale.low} and ${scale.high} mean`)
      continue
    }
    lintAnchors(path, anchors, rubric, tell)
  }
  const field = fieldsOf(rubric).find(({ kind }) => kind === 'number')
  if (field && !choicesOf(field)) {
    const why = isIntegerScale(rubric) ? `${scale.high - scale.low + 1} scores` : 'numbers with fractions'
    tell(
      'wide-scale',
      '/scale',
      `${why}: the score is what the judge writes, not an expectation; expected at most 21 whole numbers`
    )
  }
}

function lintAnchors(path: string, anchors: Record<string, string>, rubric: Rubric, tell: Tell): void {
  const { low, high } = rubric.scale
  const scores = Object.keys(anchors)
  for (const [end, name] of [
    [low, 'lowest'],
    [high, 'highest']
  ] as const) {
    if (!scores.some((score) => Number(score) === end)) {
      tell('missing-end-anchor', `${path}/anchors`, `the ${name} score, ${end}, has no anchor`)
    }
  }
  for (const score of scores) {
    if (isIntegerScale(rubric) && !Number.isInteger(Number(score))) {
      tell(
        'anchor-off-scale',
        `${path}/anchors/${score}`,
        `${score} is no whole number, and the judge gives whole numbers`
      )
    }
  }
  scores.forEach((score, index) => {
    for (const other of scores.slice(0, index)) {
      const likeness = alike(anchors[score], anchors[other])
      if (likeness < 0.8) continue
      const [how, severity] = likeness === 1 ? ['the same', 'error' as const] : ['nearly the same', 'warning' as const]
      tell('overlapping-levels', `${path}/anchors/${score}`, `${score} says ${how} as ${other}`, severity)
    }
  })
}

/** Shared words of all words; a negation is a word of its own, so that opposites are not alike. */
function alike(a: string, b: string): number {
  const words = (text: string): Set<string> => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [])
  const [left, right] = [words(a), words(b)]
  const negations = ['not', 'no', 'none', 'never', 'without', 'all', 'every', 'most', 'some', 'few', 'half']
  if (negations.some((word) => left.has(word) !== right.has(word))) return 0
  const shared = [...left].filter((word) => right.has(word)).length
  return shared / Math.max(1, left.size + right.size - shared)
}

function lintCriteria(rubric: Rubric, tell: Tell): void {
  const { criteria = [] } = rubric
  criteria.forEach((criterion, index) => lintCriterion(criterion, `/criteria/${index}`, tell))
  const scored = criteria.map((criterion, index) => ({ criterion, index })).filter(({ criterion }) => !criterion.veto)
  if (criteria.length > 0 && scored.length === 0) {
    tell(
      'only-vetoes',
      '/criteria',
      'all criteria are vetoes: beside them one score is asked for; expected a criterion for it'
    )
  }
  const weighted = scored.filter(({ criterion }) => criterion.weight !== undefined)
  if (weighted.length > 0 && new Set(scored.map(({ criterion }) => criterion.weight ?? 1)).size === 1) {
    const why = scored.length === 1 ? 'there is no other criterion to weigh it against' : 'all weights are alike'
    tell('weight-without-effect', `/criteria/${weighted[0].index}/weight`, `${why}; leave the weight out`)
  }
}

function lintCriterion({ name, description, anchors }: Criterion, path: string, tell: Tell): void {
  const words = name.split('_')
  const text = description ?? words.join(' ')
  const at = description === undefined ? `${path}/name` : `${path}/description`
  if (description === undefined && words.length === 1 && !anchors) {
    tell('undescribed-criterion', at, `${name} is one word; expected a description of what is looked for`)
  }
  const two = /\b(and|as well as|and\/or)\b/i.exec(description ?? words.join(' '))
  // A list of things ("grammar, spelling and idiom") is one question.
  if (two && !/,[^,]*\band\b/i.test(text)) {
    tell('double-barrelled', at, `"${two[1]}" joins two questions; expected a criterion for each`)
  }
  const negative =
    /^(?:the \w+ )?(?:is |does |do |has |must |should )?(no|not|never|avoids?|without|lacks?|doesn't|isn't)\b/i.exec(
      text
    )
  if (negative) {
    tell('negation', at, `"${negative[1]}": a judge's yes may mean either; expected what the answer is or has instead`)
  }
  const lengths =
    /^(length|long|short|shortness|brief|brevity|concise|conciseness|word count|number of words|detailed)$/i
  if (lengths.test(text.trim())) {
    tell('length-only', at, `"${text}" rewards length by itself; expected what the length is for`)
  }
}
