/** A model of this engine in process: exact expectations over a closed set of score tokens, nothing is sampled. */
import { AdjudgeError } from '../../errors.js'
import type { Message } from '../../policy/types.js'
import { plainMessages } from '../content.js'
import { answerFrom, spreadOf } from '../distribution.js'
import type { Performed, Performer, Watch } from '../performer.js'
import { choicesOf, type Answers, type Field, type Question } from '../question.js'
import { messageOf } from '../retry.js'
import type { JudgeMessage } from '../types.js'
import { NativePrefixes, type ScorerPrefix } from './nativePrefixes.js'

export interface NativePrompt {
  text: string
  /** Of the text, where they are known: with a prefix. */
  tokens?: Int32Array
}

/** What a native judge needs of a model. `Policy` has it. */
export interface NativeScorer {
  renderChat(messages: Message[]): string
  /** Natural log-probs over the whole vocabulary: one array per prompt, `[choices]`. */
  choiceLogProbs(
    prompts: NativePrompt[],
    choices: string[],
    options?: { prefix?: ScorerPrefix }
  ): Promise<Float32Array[]>
  /** Prefills what many prompts begin with, for `choiceLogProbs`. */
  prefix?(tokens: ArrayLike<number>): Promise<ScorerPrefix>
  tokenizer?: { encode(text: string): ArrayLike<number> }
  dispose?(): void
}

/** A judge that gives less than this to all scores together has no opinion on the scale: unscored. */
const leastScorableMass = 1e-4
/** Below this the verdict is flagged `low_mass`. */
const fairMass = 0.5
/** Prompts per native call. */
const batchSize = 32

interface Waiting {
  prompt: NativePrompt
  resolve(logProbs: Float32Array): void
  reject(error: unknown): void
}

interface Waitlist {
  choices: string[]
  prefix?: ScorerPrefix
  prompts: Waiting[]
}

/** Collects prompts that wait for the same choices and scores them together. */
class Batcher {
  private readonly waiting = new Map<string, Waitlist>()
  private readonly numbers = new WeakMap<ScorerPrefix, number>()
  private prefixes = 0
  private running = false

  constructor(private readonly scorer: NativeScorer) {}

  score(prompt: NativePrompt, choices: string[], prefix?: ScorerPrefix): Promise<Float32Array> {
    return new Promise((resolve, reject) => {
      const key = [this.numberOf(prefix), ...choices].join('\u0000')
      const group = this.waiting.get(key) ?? { choices, prompts: [], ...(prefix ? { prefix } : {}) }
      group.prompts.push({ prompt, resolve, reject })
      this.waiting.set(key, group)
      if (!this.running) {
        this.running = true
        setImmediate(() => void this.drain())
      }
    })
  }

  /** Names a prefix within a key; 0: none. */
  private numberOf(prefix: ScorerPrefix | undefined): number {
    if (!prefix) return 0
    const number = this.numbers.get(prefix) ?? ++this.prefixes
    this.numbers.set(prefix, number)
    return number
  }

  private async drain(): Promise<void> {
    for (let next = this.waiting.entries().next(); !next.done; next = this.waiting.entries().next()) {
      const [key, group] = next.value
      const batch = group.prompts.splice(0, batchSize)
      this.waiting.delete(key)
      // Back to the end of the line, so that no set of choices waits for another to run dry.
      if (group.prompts.length > 0) this.waiting.set(key, group)
      try {
        const results = await this.scorer.choiceLogProbs(
          batch.map(({ prompt }) => prompt),
          group.choices,
          group.prefix ? { prefix: group.prefix } : {}
        )
        batch.forEach((entry, index) => entry.resolve(results[index]))
      } catch (error) {
        for (const entry of batch) entry.reject(error)
      }
    }
    this.running = false
  }
}

export class NativePerformer implements Performer {
  readonly identity: Record<string, unknown>
  readonly choices = true
  private readonly batcher: Batcher
  private readonly prefixes: NativePrefixes | undefined

  /** `model` names the weights in the ledger's key. `owned`: disposed on close. */
  constructor(
    private readonly scorer: NativeScorer,
    model: string,
    private readonly owned: boolean
  ) {
    this.identity = { provider: 'native', model }
    this.batcher = new Batcher(scorer)
    const { tokenizer } = scorer
    if (!scorer.prefix || !tokenizer) return
    this.prefixes = new NativePrefixes({
      encode: (messages) => {
        // A template may want more than the beginning of a prompt.
        try {
          return tokenizer.encode(this.render(messages))
        } catch {
          return []
        }
      },
      prefill: (tokens) => scorer.prefix!(tokens)
    })
  }

  async perform(question: Question, signal: AbortSignal | undefined, watch: Watch): Promise<Performed> {
    const started = performance.now()
    watch.started()
    watch.called()
    let inputTokens = 0
    const done = (part: Partial<Performed>): Performed => ({
      usage: { inputTokens, outputTokens: 0 },
      latency: Math.round(performance.now() - started),
      attempts: 1,
      flags: question.injected ? ['injected'] : [],
      ...part
    })
    try {
      const answered = await Promise.all(
        question.fields.map(async (field, index) => {
          const labels = choicesOf(field)!.map(({ label }) => label)
          const text = this.render(question.choicePrompts?.[index] ?? question.messages)
          const tokens = this.scorer.tokenizer?.encode(text)
          inputTokens += tokens?.length ?? 0
          const constant = question.constant
          const prefix = constant && tokens && (await this.prefixes?.of(constant, tokens))
          const prompt = prefix ? { text, tokens: Int32Array.from(tokens) } : { text }
          const spread = spreadOf(labels, await this.batcher.score(prompt, labels, prefix))
          return { field, spread }
        })
      )
      if (signal?.aborted) return done({ reason: 'cancelled', detail: 'the run was cancelled' })
      const lost = answered.find(({ spread }) => !(spread.mass >= leastScorableMass))
      if (lost) {
        return done({
          reason: 'low_mass',
          detail: `the model gives ${lost.spread.mass.toExponential(1)} to the choices of ${lost.field.name} together`
        })
      }
      const answers: Answers = Object.fromEntries(
        answered.map(({ field, spread }) => [field.name, answerFrom(field, spread)])
      )
      const low = answered.some(({ spread }) => spread.mass < fairMass)
      return done({
        answers,
        flags: [...(question.injected ? ['injected' as const] : []), ...(low ? ['low_mass' as const] : [])]
      })
    } catch (error) {
      return done({ reason: 'provider_error', detail: messageOf(error) })
    }
  }

  private render(messages: JudgeMessage[]): string {
    return this.scorer.renderChat(plainMessages(messages, 'a native judge'))
  }

  close(): Promise<void> {
    this.prefixes?.dispose()
    if (this.owned) this.scorer.dispose?.()
    return Promise.resolve()
  }
}

/** A native judge compares continuations: each field needs a short list of them, and there is no text before. */
export function checkNativeFields(fields: Field[], reasoning: boolean): void {
  if (reasoning) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      'judge: a native judge gives its score directly; set the rubric to `reasoning: none`'
    )
  }
  const open = fields.find((field) => !choicesOf(field))
  if (open) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: a native judge needs a scale of whole numbers with at most 21 steps for ${open.name}; for example 1 to 5`
    )
  }
}
