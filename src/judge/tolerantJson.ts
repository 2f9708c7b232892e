/**
 * A JSON reader for what models write: comments, trailing commas, single quotes, bare keys, Python's words, line breaks
 * in strings, a missing end. It repairs form and never invents a value: a number or word that runs into the end of the
 * text may have been cut, and is left out.
 */
export interface TolerantResult {
  value: unknown
  /** True where the text was not plain JSON. */
  repaired: boolean
  /** Index after what was read. */
  end: number
}

const words: Record<string, unknown> = {
  true: true,
  false: false,
  null: null,
  True: true,
  False: false,
  None: null,
  NaN: NaN,
  Infinity: Infinity
}

/** What a cut value reads as: the member that holds it is dropped. */
const missing = Symbol('missing')

/** Reads the object that starts at `text[start]` (a `{`). Returns undefined where it is no object at all. */
export function readTolerantObject(text: string, start = 0): TolerantResult | undefined {
  const reader = new Reader(text, start)
  const value = reader.object()
  return value === undefined ? undefined : { value, repaired: reader.repaired, end: reader.at }
}

class Reader {
  repaired = false
  private depth = 0
  constructor(
    private readonly text: string,
    public at: number
  ) {}

  object(): Record<string, unknown> | undefined {
    if (this.text[this.at] !== '{' || ++this.depth > 32) return undefined
    this.at++
    const result: Record<string, unknown> = Object.create(null) as Record<string, unknown>
    for (;;) {
      this.space()
      const mark = this.text[this.at]
      if (mark === undefined) return this.cut(result)
      if (mark === '}') {
        this.at++
        this.depth--
        return result
      }
      if (mark === ',') {
        this.at++
        this.space()
        if (this.text[this.at] === '}' || this.text[this.at] === ',') this.repaired = true
        continue
      }
      const key = this.key()
      if (key === undefined) return undefined
      this.space()
      if (this.at >= this.text.length) return this.cut(result)
      if (this.text[this.at] !== ':') return undefined
      this.at++
      const value = this.value()
      if (value === undefined) return undefined
      // A key given twice is ambiguous: neither value is taken.
      if (value !== missing) result[key] = key in result && result[key] !== value ? { ambiguous: true } : value
    }
  }

  private array(): unknown[] | undefined {
    if (++this.depth > 32) return undefined
    this.at++
    const result: unknown[] = []
    for (;;) {
      this.space()
      const mark = this.text[this.at]
      if (mark === undefined) return this.cut(result)
      if (mark === ']') {
        this.at++
        this.depth--
        return result
      }
      if (mark === ',') {
        this.at++
        continue
      }
      const value = this.value()
      if (value === undefined) return undefined
      if (value !== missing) result.push(value)
    }
  }

  private value(): unknown {
    this.space()
    const mark = this.text[this.at]
    if (mark === undefined) {
      this.repaired = true
      return missing
    }
    if (mark === '{') return this.object()
    if (mark === '[') return this.array()
    if (mark === '"' || mark === "'") return this.string(mark)
    const match = /[^\s,}\]]+/y
    match.lastIndex = this.at
    const raw = match.exec(this.text)?.[0]
    if (!raw) return undefined
    this.at += raw.length
    if (this.at >= this.text.length) {
      this.repaired = true
      return missing
    }
    if (raw in words) {
      if (!/^(true|false|null)$/.test(raw)) this.repaired = true
      return words[raw]
    }
    if (/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(raw)) {
      if (!/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(raw)) this.repaired = true
      return Number(raw)
    }
    // A bare word or a sum ("4/5"): kept as text, which no numeric field takes.
    this.repaired = true
    return raw
  }

  private key(): string | undefined {
    const mark = this.text[this.at]
    if (mark === '"' || mark === "'") return this.string(mark)
    const match = /[A-Za-z_$][\w$-]*/y
    match.lastIndex = this.at
    const raw = match.exec(this.text)?.[0]
    if (!raw) return undefined
    this.repaired = true
    this.at += raw.length
    return raw
  }

  private string(quote: string): string {
    if (quote !== '"') this.repaired = true
    let result = ''
    this.at++
    for (;;) {
      const mark = this.text[this.at]
      if (mark === undefined) {
        this.repaired = true
        return result
      }
      this.at++
      if (mark === quote) return result
      if (mark === '\\') {
        const escape = this.text[this.at++]
        if (escape === 'u') {
          const hex = this.text.slice(this.at, this.at + 4)
          if (/^[\da-fA-F]{4}$/.test(hex)) {
            result += String.fromCharCode(parseInt(hex, 16))
            this.at += 4
          } else this.repaired = true
        } else result += escapes[escape ?? ''] ?? escape ?? ''
      } else {
        if (mark < ' ') this.repaired = true
        result += mark
      }
    }
  }

  private space(): void {
    const match = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|#[^\n]*)+/y
    match.lastIndex = this.at
    const found = match.exec(this.text)?.[0]
    if (!found) return
    if (found.trim() !== '') this.repaired = true
    this.at += found.length
  }

  private cut<T>(result: T): T {
    this.repaired = true
    return result
  }
}

const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f' }
