/** Words as Python's `str.split()` finds them, which the reference implementations of the metrics start from. */

// What Python holds for white space: U+001C…U+001F and U+0085 beside JavaScript's, without U+FEFF.
const space = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const word = new RegExp(`[^${space}]+`, 'g')

export const wordsOf = (text: string): string[] => text.match(word) ?? []
