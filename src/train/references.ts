/** What the frozen reference says of answers that the data brings: it does not change, so it is measured once. */
export class ReferenceLogProbs {
  /** Four bytes for each token of an answer. */
  readonly #known = new Map<string, Float32Array>()

  /** One array per answer; measured where its name is new. */
  async of<Answer>(
    answers: readonly Answer[],
    names: readonly string[],
    measure: (fresh: Answer[]) => Promise<Float32Array[]>
  ): Promise<Float32Array[]> {
    const fresh = names.flatMap((name, index) => (this.#known.has(name) ? [] : [index]))
    if (fresh.length > 0) {
      const measured = await measure(fresh.map((index) => answers[index]!))
      fresh.forEach((index, at) => this.#known.set(names[index]!, measured[at]!))
    }
    return names.map((name) => this.#known.get(name)!)
  }
}
