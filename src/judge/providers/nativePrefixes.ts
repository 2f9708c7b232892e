/** The beginnings of a native judge's prompts, prefilled once; the least used ones go when memory is short. */
import type { JudgeMessage } from '../types.js'

/** Prefilled tokens. `Prefix` of a policy has it. */
export interface ScorerPrefix {
  readonly tokens: ArrayLike<number>
  readonly bytes: number
  begins(prompt: ArrayLike<number>): boolean
  dispose(): void
}

/** What a scorer needs for it. */
export interface Prefiller {
  encode(messages: JudgeMessage[]): ArrayLike<number>
  prefill(tokens: ArrayLike<number>): Promise<ScorerPrefix>
}

/** Bytes of keys and values, over all beginnings of one judge; the newest one is kept whatever its size. */
const memory = 256 * 2 ** 20
/** Beginnings shorter than this are not worth a call of their own. */
const leastTokens = 32

interface Entry {
  tokens: ArrayLike<number>
  /** Prompts that begin with it so far; one alone is cheaper without. */
  uses: number
  prefix?: Promise<ScorerPrefix>
  /** Where it is prefilled. */
  bytes: number
}

export class NativePrefixes {
  /** By the text of the constant messages, the least recently used first. */
  private readonly entries = new Map<string, Entry>()

  constructor(private readonly prefiller: Prefiller) {}

  /** What `prompt` begins with and others will, too; undefined where that is too short, or not known yet. */
  async of(constant: JudgeMessage[], prompt: ArrayLike<number>): Promise<ScorerPrefix | undefined> {
    const key = JSON.stringify(constant)
    const entry = this.entries.get(key) ?? { tokens: this.prefiller.encode(constant), uses: 0, bytes: 0 }
    this.entries.delete(key)
    this.entries.set(key, entry)
    // What ends the constant messages is not in the prompt; a token across the seam may differ from prompt to prompt.
    const shared = sharedLength(entry.tokens, prompt)
    if (shared < entry.tokens.length) {
      this.drop(entry)
      entry.tokens = Array.prototype.slice.call(entry.tokens, 0, shared) as number[]
    }
    if (entry.tokens.length < leastTokens || ++entry.uses < 2) return undefined
    entry.prefix ??= this.prefill(entry)
    return entry.prefix
  }

  dispose(): void {
    for (const entry of this.entries.values()) this.drop(entry)
    this.entries.clear()
  }

  private async prefill(entry: Entry): Promise<ScorerPrefix> {
    try {
      const prefix = await this.prefiller.prefill(entry.tokens)
      entry.bytes = prefix.bytes
      this.makeRoom(entry)
      return prefix
    } catch (error) {
      delete entry.prefix
      throw error
    }
  }

  private makeRoom(newest: Entry): void {
    let held = 0
    for (const { bytes } of this.entries.values()) held += bytes
    for (const [key, entry] of this.entries) {
      if (held <= memory) return
      if (entry === newest) continue
      held -= entry.bytes
      this.drop(entry)
      this.entries.delete(key)
    }
  }

  /** Calls that still use it keep it alive. */
  private drop(entry: Entry): void {
    void entry.prefix?.then((prefix) => prefix.dispose()).catch(() => undefined)
    delete entry.prefix
    entry.bytes = 0
  }
}

/** Leaves `prompt` at least one token of its own. */
function sharedLength(a: ArrayLike<number>, prompt: ArrayLike<number>): number {
  const most = Math.min(a.length, prompt.length - 1)
  let length = 0
  while (length < most && a[length] === prompt[length]) length++
  return length
}
