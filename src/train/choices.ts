/** A closed set of answers instead of samples: each is judged once, and its probability is computed, not drawn. */
import type { DataItem } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import { Template } from '../graders/template.js'
import type { Policy } from '../policy/policy.js'
import type { Completion, Group } from '../policy/types.js'
import { encodeTurns } from './answers.js'
import { rolloutMetrics, type Metrics } from './metrics.js'
import { allJudged, type Rewards } from './rewards.js'
import { judgeInput, type Rollout } from './rollout.js'
import { summarize } from './statistics.js'

/** The configuration's `rollout.choices`: a list for all items, or a template that names an item's own list. */
export class Choices {
  private constructor(
    private readonly fixed: readonly string[] | undefined,
    private readonly template: Template | undefined
  ) {}

  /** Throws CONFIG_INVALID where a template is malformed or a list is no set of answers. */
  static parse(source: string | readonly string[]): Choices {
    const where = 'rollout.choices'
    if (typeof source !== 'string') {
      const problem = problemOf(source)
      if (problem) throw new AdjudgeError('CONFIG_INVALID', `${where}: ${problem}`)
      return new Choices(source, undefined)
    }
    if (!/^\s*\{\{\s*item\b[^}]*\}\}\s*$/.test(source)) {
      throw new AdjudgeError(
        'CONFIG_INVALID',
        `${where} is ${JSON.stringify(source)}; expected a list of answers, or one field of the item such as ` +
          '"{{ item.choices }}"'
      )
    }
    try {
      return new Choices(undefined, Template.parse(source, where))
    } catch (cause) {
      throw new AdjudgeError('CONFIG_INVALID', (cause as Error).message, { cause })
    }
  }

  /** An item's answers. In CSV its field holds the list as JSON. Throws DATA_INVALID with file and line. */
  of({ item, line }: DataItem, file: string): readonly string[] {
    if (this.fixed) return this.fixed
    const wrong = (message: string, cause?: unknown): AdjudgeError =>
      new AdjudgeError('DATA_INVALID', `${file}:${line}: rollout.choices: ${message}`, { cause })
    let value: unknown
    let text = ''
    try {
      text = this.template!.render({ item, sample: {} })
      value = JSON.parse(text) as unknown
    } catch (cause) {
      const reason = text === '' ? (cause as Error).message : `${JSON.stringify(text.slice(0, 60))} is no list`
      throw wrong(`${reason}; expected a list of answers such as ["yes", "no"]`, cause)
    }
    const problem = problemOf(value)
    if (problem) throw wrong(problem)
    return value as string[]
  }
}

function problemOf(value: unknown): string | undefined {
  const expected = 'expected at least two different answers, each a text that is not empty'
  if (!Array.isArray(value) || value.length < 2) return expected
  const texts: unknown[] = value
  const wrong = texts.find((text, index) => typeof text !== 'string' || text === '' || texts.indexOf(text) !== index)
  return wrong === undefined ? undefined : `${JSON.stringify(wrong)} is empty, no text, or there twice; ${expected}`
}

/** The answers of each item, as whole assistant turns, with their log-probs. */
export async function choiceGroups(
  policy: Policy,
  items: readonly DataItem[],
  choices: Choices,
  options: { file: string; temperature: number }
): Promise<Group[]> {
  const { file, temperature } = options
  const { version } = policy
  const texts = items.map((item) => choices.of(item, file))
  const { prompts, answers } = await encodeTurns(
    policy,
    items.map(({ messages, line }, index) => ({
      messages,
      line,
      answers: texts[index]!.map((text) => ({ text, finished: true }))
    })),
    file,
    'choice'
  )
  const sequences = answers.flatMap((set, index) => set.map((one) => ({ promptTokens: prompts[index]!, tokens: one })))
  const logProbs = await policy.logProbs(sequences, { temperature })
  let next = 0
  return items.map(({ messages }, index) => ({
    prompt: { messages },
    promptTokens: prompts[index]!,
    completions: answers[index]!.map((one, choice): Completion => {
      const values = logProbs[next++]!
      const text = texts[index]![choice]!
      return { text, tokens: one, logProbs: values, samplingLogProbs: values, finishReason: 'stop' }
    }),
    temperature,
    version
  }))
}

/** Probabilities of a group's answers, normalised over the set. */
export function probabilitiesOf({ completions }: Group): number[] {
  const sums = completions.map(({ logProbs }) => logProbs.reduce((sum, value) => sum + value, 0))
  const largest = Math.max(...sums)
  const weights = sums.map((sum) => Math.exp(sum - largest))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => weight / total)
}

/** Judges every answer once, while their probabilities are computed. Throws what engine and ledger throw. */
export async function weighChoices(
  policy: Policy,
  items: DataItem[],
  rewards: Rewards,
  choices: Choices,
  options: { file: string; temperature: number; name: string }
): Promise<Rollout> {
  const started = performance.now()
  const scoring = items.map((item, prompt) => {
    const set = choices.of(item, options.file)
    return set.map((text, index) => {
      const scored = rewards.score(judgeInput(item, text, { prompt, index, size: set.length, name: options.name }))
      scored.catch(() => undefined)
      return scored
    })
  })
  const groups = await choiceGroups(policy, items, choices, options)
  const generated = performance.now()
  const rewarded = await allJudged(scoring)
  return {
    items,
    groups,
    rewarded,
    probabilities: groups.map(probabilitiesOf),
    generation: generated - started,
    waiting: performance.now() - generated
  }
}

/**
 * One answer per item, judged: the most probable of the set at temperature 0, else one drawn by the probabilities at
 * that temperature, the same for the same seed.
 */
export async function chooseAnswers(
  policy: Policy,
  items: DataItem[],
  rewards: Rewards,
  choices: Choices,
  options: { file: string; temperature: number; seed: number; name: string }
): Promise<Rollout> {
  const started = performance.now()
  const { file, temperature, seed, name } = options
  const sets = await choiceGroups(policy, items, choices, { file, temperature: temperature === 0 ? 1 : temperature })
  const groups = sets.map((group, index): Group => {
    const probabilities = probabilitiesOf(group)
    const at =
      temperature === 0 ? probabilities.indexOf(Math.max(...probabilities)) : drawn(probabilities, uniform(seed, index))
    return { ...group, completions: [group.completions[at]!] }
  })
  const generated = performance.now()
  const rewarded = await allJudged(
    groups.map(({ completions }, prompt) => [
      rewards.score(judgeInput(items[prompt]!, completions[0]!.text, { prompt, index: 0, size: 1, name }))
    ])
  )
  return { items, groups, rewarded, generation: generated - started, waiting: performance.now() - generated }
}

function drawn(probabilities: readonly number[], uniform: number): number {
  let sum = 0
  const at = probabilities.findIndex((probability) => (sum += probability) > uniform)
  return at < 0 ? probabilities.length - 1 : at
}

/** In [0, 1), by the finaliser of MurmurHash3. */
function uniform(seed: number, index: number): number {
  let hash = Math.imul((seed ^ Math.imul(index + 1, 0x9e3779b9)) >>> 0, 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/** As a rollout's metrics, with every mean taken under the policy: what its samples would show on average. */
export function choiceMetrics(rollout: Rollout, rewards: Rewards): Metrics {
  const { groups, rewarded, probabilities } = rollout
  const expected = (values: (number | null)[][]): { each: (number | null)[]; deviation: number | null } => {
    const each = values.map((group, index) => meanUnder(group, probabilities![index]!))
    const mean = summarize(each).mean
    const spread = values.map((group, index) =>
      meanUnder(
        group.map((value) => (value === null || mean === null ? null : (value - mean) ** 2)),
        probabilities![index]!
      )
    )
    const variance = summarize(spread).mean
    return { each, deviation: variance === null ? null : Math.sqrt(variance) }
  }
  const reward = expected(rewarded.map((group) => group.map((one) => one.reward)))
  const over = summarize(reward.each)
  const metrics: Metrics = {
    ...rolloutMetrics(rollout, rewards),
    reward: over.mean,
    reward_std: reward.deviation,
    reward_stderr: over.standardError,
    'completions/mean_length': summarize(
      expected(groups.map((group) => group.completions.map(({ tokens }) => tokens.length))).each
    ).mean
  }
  rewards.columns.forEach(({ name }, column) => {
    const scores = expected(rewarded.map((group) => group.map(({ verdicts }) => verdicts[column]!.score)))
    metrics[`rewards/${name}/mean`] = summarize(scores.each).mean
    metrics[`rewards/${name}/std`] = scores.deviation
  })
  return metrics
}

/** The mean of what is there, weighted by its probability; null where nothing is. */
function meanUnder(values: readonly (number | null)[], probabilities: readonly number[]): number | null {
  let sum = 0
  let weight = 0
  values.forEach((value, index) => {
    if (value === null) return
    sum += probabilities[index]! * value
    weight += probabilities[index]!
  })
  return weight > 0 ? sum / weight : null
}
