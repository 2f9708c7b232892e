/** What judging a file would cost, without asking anything. */
import type { GivenAnswer } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import {
  loadRubric,
  priceOf,
  priceTableDate,
  questionsFor,
  type JudgeInput,
  type JudgeOptions,
  type JudgeSpec,
  type Question
} from '../judge/index.js'
import { defaults } from '../judge/options.js'
import { charactersOf } from '../judge/schedule/estimate.js'
import { singleJudges } from './scorer.js'

/** English text has about four characters a token. */
export const charactersPerToken = 4
/** What a reasoning before the score usually takes. */
const reasoningTokens = 150

/** Tokens of the shortest reply: the fields as JSON. */
const replyTokens = ({ fields, reasoning }: Question): number =>
  Math.ceil((2 + fields.reduce((sum, { name }) => sum + name.length + 8, 0)) / charactersPerToken) +
  (reasoning ? reasoningTokens : 0)

/** Prints the estimate. Throws CONFIG_INVALID for a grader, whose calls are its own affair. */
export async function sayEstimate(
  spec: JudgeSpec | undefined,
  groups: AsyncIterable<readonly GivenAnswer[]>
): Promise<void> {
  if (!spec) throw new AdjudgeError('CONFIG_INVALID', '--dry-run estimates a judge; expected --rubric or --judge')
  const estimates = singleJudges(spec).map((options) => new Estimate(options))
  let answers = 0
  for await (const group of groups) {
    answers += group.length
    const inputs = group.map((one) => one.input)
    for (const estimate of estimates) await estimate.add(inputs)
  }
  const calls = estimates.reduce((sum, one) => sum + one.calls, 0)
  const most = 'cascade' in spec ? 'at most ' : ''
  console.log(`${number(answers)} answers, ${most}${number(calls)} calls, nothing was asked`)
  for (const estimate of estimates) for (const line of estimate.lines()) console.log(line)
  if (calls > 0) console.log('what is in the ledger already costs nothing; repeated attempts and re-asks cost more')
}

const number = (value: number): string => value.toLocaleString('en-US')

/** Of one judge. */
class Estimate {
  calls = 0
  private readonly options: JudgeOptions
  private input = 0
  private least = 0
  private most = 0

  constructor(options: JudgeOptions) {
    const { rubric } = options
    this.options = typeof rubric === 'string' ? { ...options, rubric: loadRubric(rubric) } : options
  }

  async add(inputs: readonly JudgeInput[]): Promise<void> {
    const { maxTokens, votes = 1 } = this.options
    for (const question of await questionsFor(this.options, inputs)) {
      const limit = maxTokens ?? (question.reasoning ? defaults.maxTokensReasoning : defaults.maxTokens)
      this.calls += votes
      this.input += votes * Math.ceil(charactersOf(question.messages) / charactersPerToken)
      this.least += votes * Math.min(replyTokens(question), limit)
      this.most += votes * limit
    }
  }

  lines(): string[] {
    if (this.calls === 0) return []
    const { provider, model, name } = this.options
    const tokens = `about ${number(this.input)} tokens of prompts (at ${charactersPerToken} characters a token), ${number(this.least)} to ${number(this.most)} of replies`
    return [`${name ?? `${provider}:${typeof model === 'string' ? model : 'model'}`}: ${tokens}`, `  ${this.cost()}`]
  }

  private cost(): string {
    const { provider, model: given, baseURL, priceTable } = this.options
    const model = typeof given === 'string' ? given : 'the model'
    const price = priceOf(provider, model, baseURL !== undefined, priceTable)
    if (!price) return `cost unknown: no price of ${model} (price_table in the judge's file gives one)`
    if (price.input === 0 && price.output === 0) return 'cost: nothing, no price is paid for it'
    const dollars = (output: number): string =>
      `$${((this.input * price.input + output * price.output) / 1e6).toFixed(4)}`
    const source = priceTable?.[model] ? 'your price table' : `list prices of ${priceTableDate}`
    return `cost ${dollars(this.least)} to ${dollars(this.most)} (${source})`
  }
}
