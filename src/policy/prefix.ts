/** Tokens that many prompts begin with, prefilled once: their keys and values are reused by scoring and generation. */
import { callJob } from '../binding/errors.js'
import type { NativePrefix } from '../binding/native.js'
import type { LoadedModel } from './model.js'
import type { Prefix } from './types.js'

export class PolicyPrefix implements Prefix {
  private held: { native: NativePrefix; version: number } | undefined
  readonly bytes: number

  constructor(
    private readonly model: LoadedModel,
    readonly tokens: Int32Array,
    readonly adapter: boolean,
    private readonly version: () => number
  ) {
    const { layers, kvHeads, headDim } = model.description
    this.bytes = 2 * layers * kvHeads * headDim * tokens.length * Float32Array.BYTES_PER_ELEMENT
  }

  begins(prompt: ArrayLike<number>): boolean {
    return prompt.length > this.tokens.length && this.tokens.every((token, index) => token === prompt[index])
  }

  async native(signal?: AbortSignal): Promise<NativePrefix> {
    const version = this.version()
    if (this.held?.version !== version) {
      const { addon, native } = this.model
      this.held = { native: await callJob(() => addon.prefix(native, this.tokens, this.adapter), signal), version }
    }
    return this.held.native
  }

  dispose(): void {
    this.held = undefined
  }
}
