/** Stems of English words: Porter (1980) with NLTK's changes, which its METEOR and rouge-score go by. */

const irregular = new Map(
  Object.entries({
    skies: 'sky',
    sky: 'sky',
    dying: 'die',
    lying: 'lie',
    tying: 'tie',
    news: 'news',
    innings: 'inning',
    inning: 'inning',
    outings: 'outing',
    outing: 'outing',
    cannings: 'canning',
    canning: 'canning',
    howe: 'howe',
    proceed: 'proceed',
    exceed: 'exceed',
    succeed: 'succeed'
  })
)

/** The stem of a word in lower case. Letters beyond a–z count as consonants. */
export function porterStem(word: string): string {
  const known = irregular.get(word)
  if (known !== undefined) return known
  if (word.length <= 2) return word
  return withoutDoubleL(withoutE(suffix4(suffix3(suffix2(finalY(pastAndIng(plural(word))))))))
}

function plural(word: string): string {
  if (word.endsWith('ies')) return word.slice(0, word.length === 4 ? -1 : -2)
  if (word.endsWith('sses')) return word.slice(0, -2)
  if (word.endsWith('ss') || !word.endsWith('s')) return word
  return word.slice(0, -1)
}

function pastAndIng(word: string): string {
  if (word.endsWith('ied')) return word.slice(0, word.length === 4 ? -1 : -2)
  if (word.endsWith('eed')) return measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word
  const cut = word.endsWith('ed') ? 2 : word.endsWith('ing') ? 3 : 0
  const stem = word.slice(0, word.length - cut)
  if (cut === 0 || !hasVowel(stem)) return word
  if (/(?:at|bl|iz)$/.test(stem)) return `${stem}e`
  const last = stem[stem.length - 1]
  const flags = consonants(stem)
  if (last === stem[stem.length - 2] && flags[flags.length - 1]) return 'lsz'.includes(last) ? stem : stem.slice(0, -1)
  return measure(stem) === 1 && endsShort(stem) ? `${stem}e` : stem
}

/** NLTK's rule: after a consonant that is not the first letter. */
function finalY(word: string): string {
  if (!word.endsWith('y') || word.length < 3) return word
  return consonants(word)[word.length - 2] ? `${word.slice(0, -1)}i` : word
}

type Rule = [suffix: string, replacement: string]

const rules2: Rule[] = [
  ['ational', 'ate'],
  ['tional', 'tion'],
  ['enci', 'ence'],
  ['anci', 'ance'],
  ['izer', 'ize'],
  ['bli', 'ble'],
  ['alli', 'al'],
  ['entli', 'ent'],
  ['eli', 'e'],
  ['ousli', 'ous'],
  ['ization', 'ize'],
  ['ation', 'ate'],
  ['ator', 'ate'],
  ['alism', 'al'],
  ['iveness', 'ive'],
  ['fulness', 'ful'],
  ['ousness', 'ous'],
  ['aliti', 'al'],
  ['iviti', 'ive'],
  ['biliti', 'ble'],
  ['fulli', 'ful']
]

const rules3: Rule[] = [
  ['icate', 'ic'],
  ['ative', ''],
  ['alize', 'al'],
  ['iciti', 'ic'],
  ['ical', 'ic'],
  ['ful', ''],
  ['ness', '']
]

const rules4 = [
  'al',
  'ance',
  'ence',
  'er',
  'ic',
  'able',
  'ible',
  'ant',
  'ement',
  'ment',
  'ent',
  'ion',
  'ou',
  'ism',
  'ate',
  'iti',
  'ous',
  'ive',
  'ize'
]

function suffix2(word: string): string {
  if (word.endsWith('alli') && measure(word.slice(0, -4)) > 0) return suffix2(word.slice(0, -2))
  const replaced = firstRule(word, rules2)
  if (replaced !== undefined) return replaced
  // Here the measure counts with the l, unlike in the other rules.
  return word.endsWith('logi') && measure(word.slice(0, -3)) > 0 ? word.slice(0, -1) : word
}

const suffix3 = (word: string): string => firstRule(word, rules3) ?? word

function suffix4(word: string): string {
  const suffix = rules4.find((each) => word.endsWith(each))
  if (suffix === undefined) return word
  const stem = word.slice(0, -suffix.length)
  return measure(stem) > 1 && (suffix !== 'ion' || /[st]$/.test(stem)) ? stem : word
}

function withoutE(word: string): string {
  if (!word.endsWith('e')) return word
  const stem = word.slice(0, -1)
  const size = measure(stem)
  return size > 1 || (size === 1 && !endsShort(stem)) ? stem : word
}

const withoutDoubleL = (word: string): string =>
  word.endsWith('ll') && measure(word.slice(0, -1)) > 1 ? word.slice(0, -1) : word

/** The first rule whose suffix is there decides, whether or not what stands before it is long enough. */
function firstRule(word: string, rules: readonly Rule[]): string | undefined {
  for (const [suffix, replacement] of rules) {
    if (!word.endsWith(suffix)) continue
    const stem = word.slice(0, -suffix.length)
    return measure(stem) > 0 ? stem + replacement : word
  }
  return undefined
}

/** Which letters are consonants; y is one at the start and after a vowel. */
function consonants(word: string): boolean[] {
  const flags: boolean[] = []
  for (let at = 0; at < word.length; at++) {
    const letter = word[at]
    flags.push(letter === 'y' ? at === 0 || !flags[at - 1] : !'aeiou'.includes(letter))
  }
  return flags
}

/** How often a vowel is followed by a consonant: Porter's m. */
function measure(word: string): number {
  const flags = consonants(word)
  let count = 0
  for (let at = 1; at < flags.length; at++) count += flags[at] && !flags[at - 1] ? 1 : 0
  return count
}

const hasVowel = (word: string): boolean => consonants(word).includes(false)

/** Consonant, vowel, consonant that is not w, x or y; or NLTK's two letters, vowel and consonant. */
function endsShort(word: string): boolean {
  const flags = consonants(word)
  const n = flags.length
  if (n === 2) return !flags[0] && flags[1]
  return n >= 3 && flags[n - 3] && !flags[n - 2] && flags[n - 1] && !'wxy'.includes(word[n - 1])
}
