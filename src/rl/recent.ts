/** The last rules of a call stay prepared, so that a loop of plain calls reads its rule once. */

type Fields = Record<string, unknown>

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null

/** Records and lists are copied to their last value, since the caller may change his own. */
function copyOf(value: unknown): unknown {
  if (!isRecord(value)) return value
  if (Array.isArray(value)) return value.map(copyOf)
  const copy: Fields = {}
  for (const key of Object.keys(value)) copy[key] = copyOf(value[key])
  return copy
}

const end = Symbol('end of a record')
const list = Symbol('list')
const record = Symbol('record')

/** A rule as one row of words, which is compared without a look-up: keys, values, and where records begin and end. */
function wordsOf(value: unknown, words: unknown[] = []): unknown[] {
  if (!isRecord(value)) {
    words.push(value)
    return words
  }
  words.push(Array.isArray(value) ? list : record)
  for (const key in value) {
    words.push(key)
    wordsOf(value[key], words)
  }
  words.push(end)
  return words
}

/** @returns the place after the words of `value`, or -1 where it has others. */
function compare(value: unknown, words: unknown[], place: number): number {
  if (!isRecord(value)) return Object.is(value, words[place]) ? place + 1 : -1
  if (words[place] !== (Array.isArray(value) ? list : record)) return -1
  place++
  for (const key in value) {
    if (words[place] !== key) return -1
    place = compare(value[key], words, place + 1)
    if (place < 0) return -1
  }
  return words[place] === end ? place + 1 : -1
}

interface Entry<Made> {
  words: unknown[]
  made: Made
}

/** More rules than a loop uses in turn; each is compared by value, so they are few. */
const kept = 4

/**
 * @param make reads a rule: a copy that nobody changes. What it throws is not kept.
 * @returns the same with the last rules kept. Rules are compared by value: one that was changed in place is read anew.
 */
export function recent<Rule, Made>(make: (rule: Rule) => Made): (rule: Rule) => Made {
  const entries: Entry<Made>[] = []
  return (given) => {
    for (const { words, made } of entries) {
      if (compare(given, words, 0) === words.length) return made
    }
    const rule = copyOf(given) as Rule
    const made = make(rule)
    if (entries.length === kept) entries.shift()
    entries.push({ words: wordsOf(rule), made })
    return made
  }
}
