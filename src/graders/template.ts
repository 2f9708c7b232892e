/** OpenAI's grader templates: `{{ item.path }}` and `{{ sample.path }}`, and nothing else (no expressions, no code). */
import { AdjudgeError } from '../errors.js'

/** What a template can see. */
export interface TemplateScope {
  item: Record<string, unknown>
  sample: Record<string, unknown>
}

interface Piece {
  text?: string
  path?: (string | number)[]
  source?: string
}

/** A missing value is the item's fault, not a score: the grader answers null with this message. */
export class MissingValue extends Error {
  constructor(
    message: string,
    readonly path: readonly (string | number)[]
  ) {
    super(message)
  }
}

export class Template {
  private constructor(private readonly pieces: Piece[]) {}

  /** Throws GRADER_INVALID on another namespace or a malformed path. */
  static parse(text: string, where: string): Template {
    const pieces: Piece[] = []
    let at = 0
    for (const match of text.matchAll(/\{\{([\s\S]*?)\}\}/g)) {
      pieces.push({ text: text.slice(at, match.index) })
      const source = match[1].trim()
      pieces.push({ path: parsePath(source, where), source })
      at = match.index + match[0].length
    }
    const rest = text.slice(at)
    if (rest.includes('{{')) throw new AdjudgeError('GRADER_INVALID', `${where}: a {{ is never closed; expected }}`)
    pieces.push({ text: rest })
    return new Template(pieces)
  }

  /**
   * Objects are written as JSON. `guard` may change what comes from the sample, which is untrusted. Throws MissingValue
   * where a path leads nowhere.
   */
  render(scope: TemplateScope, guard?: (text: string) => string): string {
    return this.pieces
      .map(({ path, text, source }) => {
        if (!path) return text
        const value = textOf(lookUp(scope, path, source!))
        return guard && path[0] === 'sample' ? guard(value) : value
      })
      .join('')
  }
}

function parsePath(source: string, where: string): (string | number)[] {
  const wrong = (expected: string): AdjudgeError =>
    new AdjudgeError('GRADER_INVALID', `${where}: {{ ${source} }} cannot be read; expected ${expected}`)
  const [, root, rest] = /^([A-Za-z_]\w*)([\s\S]*)$/.exec(source) ?? []
  if (root !== 'item' && root !== 'sample') throw wrong('item.<field> or sample.<field>')
  const path: (string | number)[] = [root]
  const part = /\.([A-Za-z_][\w-]*)|\[(\d+)\]|\[(?:'([^']*)'|"([^"]*)")\]/y
  while (part.lastIndex < rest.length) {
    const match = part.exec(rest)
    if (!match) throw wrong('fields and indices, for example sample.output_json.a[0]')
    path.push(match[2] === undefined ? (match[1] ?? match[3] ?? match[4]) : Number(match[2]))
  }
  if (path.length === 1) throw wrong(`${root}.<field>`)
  return path
}

function lookUp(scope: TemplateScope, path: (string | number)[], source: string): unknown {
  let value: unknown = scope
  for (const key of path) {
    const there = typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    if (!there) throw new MissingValue(`{{ ${source} }} has no value here`, path)
    value = (value as Record<string | number, unknown>)[key]
  }
  return value
}

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : value === null || value === undefined ? '' : JSON.stringify(value)
