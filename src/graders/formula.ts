/** The formula of a multi grader: numbers, names, + - * / ^, parentheses and eight functions. A parser, never `eval`. */
import { AdjudgeError } from '../errors.js'

type Node =
  | { kind: 'number'; value: number }
  | { kind: 'name'; name: string }
  | { kind: 'negate'; operand: Node }
  | { kind: 'binary'; operator: string; left: Node; right: Node }
  | { kind: 'call'; name: string; operands: Node[] }

const functions: Record<string, { operands: number | 'any'; apply: (...values: number[]) => number }> = {
  min: { operands: 'any', apply: Math.min },
  max: { operands: 'any', apply: Math.max },
  abs: { operands: 1, apply: Math.abs },
  floor: { operands: 1, apply: Math.floor },
  ceil: { operands: 1, apply: Math.ceil },
  exp: { operands: 1, apply: Math.exp },
  sqrt: { operands: 1, apply: Math.sqrt },
  log: { operands: 1, apply: Math.log }
}

/** GRADER_INVALID for a formula that cannot be read. */
export class FormulaError extends AdjudgeError {
  constructor(message: string) {
    super('GRADER_INVALID', message)
  }
}

export class Formula {
  private constructor(
    private readonly root: Node,
    /** The variables that it reads. */
    readonly names: string[]
  ) {}

  /** Throws GRADER_INVALID, naming the position, on anything that is not a formula over `known` names. */
  static parse(source: string, known: readonly string[]): Formula {
    const parser = new Parser(source, known)
    return new Formula(parser.parse(), [...parser.names])
  }

  /** May be NaN or infinite (a division by zero): then the grader is unscored. */
  evaluate(values: Record<string, number>): number {
    return evaluate(this.root, values)
  }
}

function evaluate(node: Node, values: Record<string, number>): number {
  switch (node.kind) {
    case 'number':
      return node.value
    case 'name':
      return values[node.name] ?? NaN
    case 'negate':
      return -evaluate(node.operand, values)
    case 'call':
      return functions[node.name].apply(...node.operands.map((operand) => evaluate(operand, values)))
    case 'binary': {
      const left = evaluate(node.left, values)
      const right = evaluate(node.right, values)
      if (node.operator === '+') return left + right
      if (node.operator === '-') return left - right
      if (node.operator === '*') return left * right
      if (node.operator === '/') return left / right
      return left ** right
    }
  }
}

class Parser {
  readonly names = new Set<string>()
  private at = 0
  private depth = 0

  constructor(
    private readonly source: string,
    private readonly known: readonly string[]
  ) {}

  parse(): Node {
    const node = this.sum()
    this.space()
    if (this.at < this.source.length) throw this.wrong('an operator or the end')
    return node
  }

  private sum(): Node {
    if (++this.depth > 100) throw this.wrong('at most 100 nested parts')
    let left = this.product()
    for (let operator = this.take('+-'); operator; operator = this.take('+-')) {
      left = { kind: 'binary', operator, left, right: this.product() }
    }
    this.depth--
    return left
  }

  private product(): Node {
    let left = this.signed()
    for (let operator = this.take('*/'); operator; operator = this.take('*/')) {
      left = { kind: 'binary', operator, left, right: this.signed() }
    }
    return left
  }

  /** A sign binds looser than a power: -2^2 is -4. */
  private signed(): Node {
    if (++this.depth > 100) throw this.wrong('at most 100 nested parts')
    const sign = this.take('+-')
    const node: Node = sign ? this.signed() : this.power()
    this.depth--
    return sign === '-' ? { kind: 'negate', operand: node } : node
  }

  /** Powers bind to the right: 2^3^2 is 2^9. */
  private power(): Node {
    const left = this.atom()
    if (!this.take('^')) return left
    return { kind: 'binary', operator: '^', left, right: this.signed() }
  }

  private atom(): Node {
    this.space()
    if (this.take('(')) {
      const node = this.sum()
      this.expect(')')
      return node
    }
    const number = this.match(/(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y)
    if (number !== undefined) return { kind: 'number', value: Number(number) }
    const start = this.at
    const name = this.match(/[A-Za-z_]\w*/y)
    if (name === undefined) throw this.wrong('a number, a name or (')
    if (!this.take('(')) {
      if (!this.known.includes(name)) {
        this.at = start
        throw this.wrong(`one of the graders ${this.known.join(', ')} instead of ${name}`)
      }
      this.names.add(name)
      return { kind: 'name', name }
    }
    const called = Object.hasOwn(functions, name) ? functions[name] : undefined
    if (!called) {
      this.at = start
      throw this.wrong(`one of the functions ${Object.keys(functions).join(', ')} instead of ${name}`)
    }
    const operands = [this.sum()]
    while (this.take(',')) operands.push(this.sum())
    this.expect(')')
    if (called.operands !== 'any' && operands.length !== called.operands) {
      throw this.wrong(`${called.operands} value for ${name}, not ${operands.length}`)
    }
    return { kind: 'call', name, operands }
  }

  private match(pattern: RegExp): string | undefined {
    this.space()
    pattern.lastIndex = this.at
    const found = pattern.exec(this.source)?.[0]
    if (found !== undefined) this.at += found.length
    return found
  }

  private take(marks: string): string | undefined {
    this.space()
    const mark = this.source[this.at]
    if (mark === undefined || !marks.includes(mark)) return undefined
    this.at++
    return mark
  }

  private expect(mark: string): void {
    if (!this.take(mark)) throw this.wrong(mark)
  }

  private space(): void {
    while (/\s/.test(this.source[this.at] ?? '')) this.at++
  }

  private wrong(expected: string): FormulaError {
    return new FormulaError(
      `calculate_output ${JSON.stringify(this.source)}, column ${this.at + 1}: expected ${expected}`
    )
  }
}
