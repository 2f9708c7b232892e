/** Rows of two files that belong together: by their ids, or by their order. */
import { AnswerReader, type AnswerFields, type AnswerRole, type Row } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import type { JudgeInput } from '../judge/index.js'

export interface Pair {
  first: JudgeInput
  second: JudgeInput
  /** How much of the first file lies before it; null where that is unknown. */
  share: number | null
}

interface Answer {
  row: Row
  input: JudgeInput
}

export class Pairs {
  private readonly readers: readonly [AnswerReader, AnswerReader]
  /** Rows whose partner has not come yet: few where both files have the same order. */
  private readonly waiting: readonly [Map<string, Answer>, Map<string, Answer>] = [new Map(), new Map()]
  private longer: string | undefined
  private cut = false

  constructor(
    private readonly files: readonly [string, string],
    private readonly rows: readonly [AsyncGenerator<Row>, AsyncGenerator<Row>],
    named: AnswerFields,
    private readonly join: 'auto' | 'id' | 'order',
    flags: (role: AnswerRole) => string
  ) {
    this.readers = [new AnswerReader(named, flags), new AnswerReader({ ...named }, flags)]
  }

  /** Which field plays which part in the first file. */
  get found(): AnswerFields {
    return this.readers[0].found
  }

  /**
   * Throws DATA_INVALID where a row cannot be read, an id is there twice, ids are asked for and missing, or two rows of the
   * same place have different prompts.
   */
  async *read(most = Infinity): AsyncGenerator<Pair> {
    let count = 0
    let byId = this.join === 'id'
    for (let round = 0; ; round++) {
      const next = await Promise.all([this.next(0), this.next(1)])
      if (round === 0) byId = this.decide(next)
      if (!next[0] && !next[1]) return
      if (!byId) {
        if (!next[0] || !next[1]) {
          this.longer = this.files[next[0] ? 0 : 1]
          return
        }
        yield this.pair(next[0], next[1])
        if (++count >= most) return
        continue
      }
      for (const side of [0, 1] as const) {
        const answer = next[side]
        if (!answer) continue
        const pair = this.match(side, answer)
        if (!pair) continue
        yield pair
        if (++count >= most) {
          this.cut = true
          return
        }
      }
    }
  }

  /** What had no partner, in words. */
  unmatched(): string[] {
    if (this.longer !== undefined) return [`${this.longer} has more rows than the other file; they were left out`]
    if (this.cut) return []
    return this.waiting.flatMap((rows, side) =>
      rows.size === 0 ? [] : [`${rows.size} rows of ${this.files[side]} have no partner and were left out`]
    )
  }

  private decide(next: readonly (Answer | undefined)[]): boolean {
    if (this.join === 'order') return false
    const without = this.readers.findIndex(({ found }, side) => {
      const fields = next[side]?.row.fields
      return fields !== undefined && (found.id === undefined || fields[found.id] === undefined)
    })
    if (this.join === 'id' && without >= 0) {
      throw new AdjudgeError(
        'DATA_INVALID',
        `${this.files[without]}: rows have no id; --id names the field, or --join order`
      )
    }
    return without < 0
  }

  private async next(side: 0 | 1): Promise<Answer | undefined> {
    const next = await this.rows[side].next()
    if (next.done) return undefined
    const answers = this.readers[side].read(next.value)
    if (answers.length > 1) {
      throw new AdjudgeError('DATA_INVALID', `${next.value.place}: ${answers.length} answers; compare takes one a row`)
    }
    return answers[0]
  }

  private match(side: 0 | 1, answer: Answer): Pair | undefined {
    const id = answer.input.id!
    const partner = this.waiting[1 - side].get(id)
    if (!partner) {
      const other = this.waiting[side].get(id)
      if (other) throw new AdjudgeError('DATA_INVALID', `${answer.row.place}: id ${id} is also at ${other.row.place}`)
      this.waiting[side].set(id, answer)
      return undefined
    }
    this.waiting[1 - side].delete(id)
    return side === 0 ? this.pair(answer, partner) : this.pair(partner, answer)
  }

  private pair(first: Answer, second: Answer): Pair {
    if (JSON.stringify(first.input.messages) !== JSON.stringify(second.input.messages)) {
      const cure = this.join === 'id' ? '' : '; --join id pairs them by their ids'
      throw new AdjudgeError(
        'DATA_INVALID',
        `${first.row.place} and ${second.row.place} have different prompts; expected answers to the same one${cure}`
      )
    }
    return { first: first.input, second: second.input, share: first.row.share }
  }
}
