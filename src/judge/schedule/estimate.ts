/** What a call will cost in tokens, before it is made: learned from the calls of the same model. */
import type { JudgeMessage, Usage } from '../types.js'

/** Weight of the newest call in the running means. */
const weight = 0.05

export class TokenEstimate {
  /** English text has about four characters a token; a reply corrects it at once. */
  private charactersPerToken = 4
  private output: number | undefined
  private seen = false

  /** Prompt and reply of a call with that many characters, and at most `maxTokens` of reply. */
  tokens(characters: number, maxTokens: number): number {
    return this.input(characters) + Math.min(maxTokens, Math.ceil(this.output ?? maxTokens))
  }

  input(characters: number): number {
    return Math.ceil(characters / this.charactersPerToken)
  }

  /** The mean reply so far. */
  get outputTokens(): number {
    return Math.round(this.output ?? 0)
  }

  learn(characters: number, usage: Usage): void {
    if (usage.inputTokens > 0 && characters > 0) {
      const ratio = characters / usage.inputTokens
      this.charactersPerToken += (ratio - this.charactersPerToken) * (this.seen ? weight : 1)
      this.seen = true
    }
    this.output = this.output === undefined ? usage.outputTokens : mean(this.output, usage.outputTokens)
  }
}

const mean = (old: number, value: number): number => old + (value - old) * weight

/** Text only: what images cost differs from server to server, and is learned with the rest. */
export function charactersOf(messages: readonly JudgeMessage[]): number {
  let sum = 0
  for (const { content } of messages) {
    if (typeof content === 'string') sum += content.length
    else for (const part of content) sum += part.type === 'text' ? part.text.length : 0
  }
  return sum
}
