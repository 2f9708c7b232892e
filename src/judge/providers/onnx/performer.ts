/** Classifiers, regressors and reward models through onnxruntime-node: a conversation in, a number out. */
import { AdjudgeError } from '../../../errors.js'
import { ChatTemplate } from '../../../policy/chat.js'
import { textOf } from '../../content.js'
import { neutralise, visibleAnswer } from '../../fence.js'
import type { Performed, Performer, Watch } from '../../performer.js'
import type { FieldAnswer, Material, Question } from '../../question.js'
import { messageOf } from '../../retry.js'
import { OnnxModel, type OnnxConfig } from './model.js'

export interface OnnxOptions {
  /**
   * The two texts of the model's input, with `{{ prompt }}`, `{{ conversation }}`, `{{ answer }}`, `{{ reference }}` and
   * `{{ item.x }}`; without `second` it is one text. Default: the model's chat template over conversation and answer
   * where it has one, else prompt and answer as a pair.
   */
  template?: { first: string; second?: string }
  /**
   * How logits become a score: `logit` (default for one output), `sigmoid` of it, `expectation` over the labels' numbers
   * ("4 stars" is 4; default for several outputs), or the worth of each label, whose expectation it is.
   */
  score?: 'logit' | 'sigmoid' | 'expectation' | Record<string, number>
  /** Of the session. Default 1. */
  threads?: number
  /** Most tokens of an input; default: the model's own limit. Longer ones are cut, and flagged `truncated`. */
  maxTokens?: number
}

interface Waiting {
  texts: [string, string | null]
  resolve: (result: { logits: Float32Array; tokens: number; truncated: boolean }) => void
  reject: (error: unknown) => void
}

/** Inputs per task of the worker thread: enough for batches of equal length. */
const taskSize = 256

export class OnnxPerformer implements Performer {
  readonly identity: Record<string, unknown>
  private waiting: Waiting[] = []
  private running = false

  private constructor(
    private readonly model: OnnxModel,
    private readonly texts: (material: Material) => [string, string | null],
    private readonly answer: (logits: Float32Array) => FieldAnswer,
    private readonly limit: number | undefined,
    options: OnnxOptions
  ) {
    const { template, score, maxTokens } = options
    this.identity = { provider: 'onnx', model: `sha256:${model.sha256}`, template, score, maxTokens }
  }

  /** Throws JUDGE_INVALID. */
  static async load(folder: string, options: OnnxOptions = {}): Promise<OnnxPerformer> {
    const model = await OnnxModel.load(folder, options.threads)
    try {
      const answer = answerOf(model.config, options.score)
      return new OnnxPerformer(model, textsOf(model.config, options.template), answer, options.maxTokens, options)
    } catch (error) {
      await model.close()
      throw error
    }
  }

  async perform(question: Question, signal: AbortSignal | undefined, watch: Watch): Promise<Performed> {
    const started = performance.now()
    watch.started()
    watch.called()
    const usage = { inputTokens: 0, outputTokens: 0 }
    const flags: Performed['flags'] = []
    const done = (part: Partial<Performed>): Performed => ({
      usage,
      latency: Math.round(performance.now() - started),
      attempts: 1,
      flags,
      ...part
    })
    const material = question.material
    if (!material) return done({ reason: 'provider_error', detail: 'a classifier takes no instructions' })
    try {
      const { logits, tokens, truncated } = await this.ask(this.texts(material))
      usage.inputTokens = tokens
      if (truncated) flags.push('truncated')
      if (neutralise(material.completion).injected) flags.push('injected')
      if (signal?.aborted) return done({ reason: 'cancelled', detail: 'the run was cancelled' })
      const score = this.answer(logits)
      if (!Number.isFinite(score.value)) {
        return done({ reason: 'provider_error', detail: `the model gave ${[...logits].slice(0, 8).join(', ')}` })
      }
      return done({ answers: { score }, reply: JSON.stringify([...logits]) })
    } catch (error) {
      return done({ reason: 'provider_error', detail: messageOf(error) })
    }
  }

  close(): Promise<void> {
    return this.model.close()
  }

  private ask(texts: [string, string | null]): Promise<{ logits: Float32Array; tokens: number; truncated: boolean }> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ texts, resolve, reject })
      if (this.running) return
      this.running = true
      setImmediate(() => void this.drain())
    })
  }

  /** One task at a time: what is asked meanwhile makes the next one. */
  private async drain(): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, taskSize)
      try {
        const { rows, tokens, truncated } = await this.model.run({
          texts: batch.map(({ texts }) => texts),
          ...(this.limit === undefined ? {} : { limit: this.limit })
        })
        batch.forEach(({ resolve }, index) =>
          resolve({ logits: rows[index]!, tokens: tokens[index]!, truncated: truncated[index] === 1 })
        )
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    this.running = false
  }
}

const safe = (text: string): string => neutralise(text).text

function textsOf(
  config: OnnxConfig,
  template: OnnxOptions['template']
): (material: Material) => [string, string | null] {
  if (!template && config.chatTemplate !== undefined) {
    const chat = new ChatTemplate(config.chatTemplate, 'the ONNX model', config.specialTokens)
    return ({ messages, completion }) => {
      const turns = messages.map(({ role, content }) => ({ role, content: safe(textOf(content)) }))
      return [chat.render([...turns, { role: 'assistant', content: safe(visibleAnswer(completion)) }], false), null]
    }
  }
  const { first, second } = template ?? { first: '{{ prompt }}', second: '{{ answer }}' }
  return (material) => [fill(first, material), second === undefined ? null : fill(second, material)]
}

function fill(template: string, { messages, completion, reference, item }: Material): string {
  const values: Record<string, () => string> = {
    prompt: () => textOf(messages.findLast(({ role }) => role === 'user')?.content ?? ''),
    conversation: () => messages.map(({ role, content }) => `${role}: ${textOf(content)}`).join('\n'),
    answer: () => visibleAnswer(completion),
    reference: () => reference ?? ''
  }
  return template.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_, name: string) => {
    if (values[name]) return safe(values[name]())
    const value = name.startsWith('item.') ? item?.[name.slice(5)] : undefined
    return value === undefined || value === null ? '' : safe(typeof value === 'string' ? value : JSON.stringify(value))
  })
}

function answerOf(
  { labels, regression }: OnnxConfig,
  score: OnnxOptions['score']
): (logits: Float32Array) => FieldAnswer {
  const invalid = (what: string): AdjudgeError => new AdjudgeError('JUDGE_INVALID', `judge: onnx.score ${what}`)
  const way = score ?? (regression ? 'logit' : 'expectation')
  if (way === 'logit' || way === 'sigmoid') {
    if (labels.length !== 1) throw invalid(`${way} is for models with one output; this one has ${labels.join(', ')}`)
    return ([logit]) => ({ value: way === 'logit' ? logit! : 1 / (1 + Math.exp(-logit!)) })
  }
  const worth = labels.map((label) => {
    const number = /-?\d+(?:\.\d+)?/.exec(label)?.[0]
    const value = way === 'expectation' ? (number === undefined ? NaN : Number(number)) : (way[label] ?? NaN)
    if (Number.isFinite(value)) return value
    throw invalid(
      way === 'expectation'
        ? `expectation needs labels that hold a number; this model has ${labels.join(', ')}: give their worth as { label: number }`
        : `has no number for the label ${label}`
    )
  })
  return (logits) => {
    const most = Math.max(...logits)
    const weights = Array.from(logits, (logit) => Math.exp(logit - most))
    const sum = weights.reduce((a, b) => a + b, 0)
    const distribution = Object.fromEntries(labels.map((label, index) => [label, weights[index]! / sum]))
    return { value: weights.reduce((total, weight, index) => total + (weight / sum) * worth[index]!, 0), distribution }
  }
}
