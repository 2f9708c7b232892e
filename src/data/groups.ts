/** A data set of answers, by prompt: lines with one answer each to the same prompt are one group. */
import { AdjudgeError } from '../errors.js'
import type { AnsweredItem, Dataset } from './dataset.js'
import { answerFields, type GivenKind } from './given.js'

export class AnsweredGroups {
  private constructor(
    private readonly dataset: Dataset,
    /** Records of each group, in the order of the file; groups in the order of their first record. */
    private readonly groups: number[][],
    readonly kind: GivenKind,
    /** Mean and standard deviation (n − 1) over all scored answers. */
    readonly scores: { mean: number; deviation: number }
  ) {}

  /**
   * Reads every record once, so that what is wrong shows before anything is learned; in memory there are only places.
   * Throws DATA_INVALID with file, line and field.
   */
  static async of(dataset: Dataset): Promise<AnsweredGroups> {
    const groups: number[][] = []
    const byPrompt = new Map<string, number[]>()
    let kind: GivenKind | undefined
    let count = 0
    let mean = 0
    let squares = 0
    for (let index = 0; index < dataset.length; index++) {
      const answered = await dataset.answered(index)
      kind ??= answered.kind
      if (answered.kind !== kind) {
        const message = `${dataset.path}:${answered.line}: the record has ${shapes[answered.kind]}, those before it ${shapes[kind]}; expected one of them`
        throw new AdjudgeError('DATA_INVALID', message)
      }
      for (const { score } of answered.completions) {
        if (score === null) continue
        // Welford's update.
        const difference = score - mean
        mean += difference / ++count
        squares += difference * (score - mean)
      }
      if (kind === 'pair' || answered.completions.length > 1) {
        groups.push([index])
        continue
      }
      const prompt = JSON.stringify(answered.messages)
      const group = byPrompt.get(prompt)
      if (group) group.push(index)
      else {
        const fresh = [index]
        byPrompt.set(prompt, fresh)
        groups.push(fresh)
      }
    }
    const deviation = count > 1 ? Math.sqrt(squares / (count - 1)) : 0
    return new AnsweredGroups(dataset, groups, kind!, { mean, deviation })
  }

  /** Whether the first record brings answers at all. */
  static async areIn(dataset: Dataset): Promise<boolean> {
    const fields = await dataset.fields(0)
    return answerFields.some((name) => fields[name] !== undefined)
  }

  get length(): number {
    return this.groups.length
  }

  /** The first groups. */
  async first(most: number): Promise<AnsweredItem[]> {
    return Promise.all(Array.from({ length: Math.min(most, this.length) }, (_, index) => this.group(index)))
  }

  /** A group as one item: its first record's, with the answers of all. */
  async group(index: number): Promise<AnsweredItem> {
    const items = await Promise.all(this.groups[index]!.map((record) => this.dataset.answered(record)))
    return { ...items[0]!, completions: items.flatMap(({ completions }) => completions) }
  }
}

const shapes: Record<GivenKind, string> = {
  pair: 'a chosen and a rejected answer',
  label: 'a label',
  scores: 'scores'
}
