import { AdjudgeError } from '../errors.js'

/** Throws ARGUMENT_INVALID for an option that no one knows, with the nearest one that is known. */
export function checkOptions(given: object, known: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !known.includes(name))
  if (unknown === undefined) return
  const message = `unknown option "${unknown}"; did you mean "${nearestName(unknown, known)}"?`
  throw new AdjudgeError('ARGUMENT_INVALID', message)
}

/** The known name that is fewest edits (insert, delete, replace) away from a mistyped one. */
export function nearestName(name: string, names: readonly string[]): string {
  let nearest = names[0] ?? ''
  let fewest = Infinity
  for (const candidate of names) {
    const edits = editDistance(name, candidate)
    if (edits < fewest) {
      fewest = edits
      nearest = candidate
    }
  }
  return nearest
}

function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= right.length; j++) {
      const replace = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1)
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[right.length] ?? 0
}
