/**
 * A small grammar of sentences: the generator writes by it and the check by program reads by it. In a template,
 * `(a|b)` is one of two texts, `{name}` one of a list of words, and `{item}` the product that the text is about.
 */
import type { Random } from './random.js'

/** `heldOut` draws from templates and words that `train` never uses. */
export type Split = 'train' | 'heldOut'

/** Two lists that share nothing. */
export interface Divided<Entry> {
  train: readonly Entry[]
  heldOut: readonly Entry[]
}

export type Words = Readonly<Record<string, Divided<string>>>

export const all = <Entry>({ train, heldOut }: Divided<Entry>): Entry[] => [...train, ...heldOut]

type Part = { kind: 'text'; text: string } | { kind: 'choice'; choices: Part[][] } | { kind: 'words'; name: string }

const partPattern = /\(([^()]*)\)|\{(\w+)\}|[^(){}]+/g

function partsOf(template: string): Part[] {
  return [...template.matchAll(partPattern)].map(([text, choices, name]) =>
    choices !== undefined
      ? { kind: 'choice', choices: choices.split('|').map(partsOf) }
      : name !== undefined
        ? { kind: 'words', name }
        : { kind: 'text', text }
  )
}

const upperFirst = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)

/** Writes one of the template's texts; its first letter is made large. */
export function write(template: string, words: Words, split: Split, random: Random, item = ''): string {
  const fill = (parts: Part[]): string =>
    parts
      .map((part) => {
        if (part.kind === 'text') return part.text
        if (part.kind === 'choice') return fill(random.pick(part.choices))
        return part.name === 'item' ? item : random.pick(words[part.name]![split])
      })
      .join('')
  return upperFirst(fill(partsOf(template)))
}

/** Reads a sentence: which template wrote it, and about which item. */
export interface Reader<Tag> {
  read(sentence: string): { tag: Tag; item: string | undefined } | undefined
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** A pattern of all texts of the parts, held-out words included; names the item. */
function patternOf(parts: Part[], words: Words, itemPattern: string): string {
  return parts
    .map((part) => {
      if (part.kind === 'text') return escape(part.text)
      if (part.kind === 'choice')
        return `(?:${part.choices.map((choice) => patternOf(choice, words, itemPattern)).join('|')})`
      if (part.name === 'item') return `(?<item>${itemPattern})`
      return `(?:${all(words[part.name]!).map(escape).join('|')})`
    })
    .join('')
}

/** A reader of the texts of all templates; `itemPattern` finds any item. */
export function readerOf<Tag>(
  templates: readonly { template: string; tag: Tag }[],
  words: Words,
  itemPattern: string
): Reader<Tag> {
  const patterns = templates.map(({ template, tag }) => {
    return { pattern: new RegExp(`^${patternOf(partsOf(template), words, itemPattern)}$`), tag }
  })
  return {
    read: (sentence) => {
      if (sentence === '' || sentence !== upperFirst(sentence)) return undefined
      for (const text of [sentence, sentence.slice(0, 1).toLowerCase() + sentence.slice(1)]) {
        for (const { pattern, tag } of patterns) {
          const match = pattern.exec(text)
          if (match) return { tag, item: match.groups?.['item'] }
        }
      }
      return undefined
    }
  }
}
