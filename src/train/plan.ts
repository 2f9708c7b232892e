/** What a run will do, before it does it: the model, what it holds in memory, tokens, calls and their cost. */
import { Dataset } from '../data/index.js'
import { membersOf, priceOf } from '../judge/index.js'
import { Policy } from '../policy/policy.js'
import type { AdjudgeError } from '../errors.js'
import { Choices } from './choices.js'
import { algorithmOf, learnsFromGiven, type LoadedConfig } from './config.js'
import { availableMemory, bytesOf, sizeText } from './freeMemory.js'
import { isPreference } from './preference.js'
import { memoryProblem, planMemory, rolesText } from './memory.js'
import type { RunConfig } from './schema.js'

export interface Plan {
  /** For a person. */
  lines: string[]
  /** Why the run could not begin, where there is such a reason. */
  problem?: AdjudgeError
}

/** Reads model and data and checks the first prompts; writes nothing and asks nobody. Throws what reading them throws. */
export async function planOf(loaded: LoadedConfig): Promise<Plan> {
  const { config } = loaded
  const { data, rollout, training, evaluation } = config
  await using train = await Dataset.open(data.train, data.prompt === undefined ? {} : { prompt: data.prompt })
  const memory = await planMemory(loaded, train)
  const lines: string[] = []
  let problem: AdjudgeError | undefined
  if (memory) {
    lines.push(
      `learns    ${millions(memory.trained)} of ${millions(memory.parameters)} parameters`,
      `memory    about ${sizeText(memory.bytes)} of ${memoryNote(config)}: ${rolesText(memory)}`
    )
    problem = memoryProblem(memory, config)
  }
  if (!problem) lines.unshift(await describeModel(config))
  const epochs = ((training.steps * rollout.prompts) / train.length).toFixed(2)
  lines.push(`data      ${data.train}: ${train.length} items, ${epochs} epochs`)
  const plan = (): Plan => ({ lines, ...(problem ? { problem } : {}) })
  if (config.algorithm.preset === 'sft' || learnsFromGiven(config)) {
    lines.push(`steps     ${training.steps} of ${rollout.prompts} items`)
    return plan()
  }
  const choices = rollout.choices === undefined ? undefined : Choices.parse(rollout.choices)
  const each = choices ? choices.of(await train.item(0), data.train).length : rollout.completions
  const taken = training.steps * rollout.prompts
  lines.push(
    `steps     ${training.steps} of ${rollout.prompts} prompts × ${each} ${choices ? 'choices' : 'completions'}` +
      (choices ? '' : `, at most ${millions(taken * each * rollout.max_tokens)} tokens sampled`)
  )
  const rounds = evaluation.every > 0 ? 1 + Math.ceil(training.steps / evaluation.every) : 0
  // Choices that were judged are not judged again.
  // ReMax judges a greedy answer beside the samples.
  const perPrompt = each + (!isPreference(config) && algorithmOf(config).advantage.baseline === 'given' ? 1 : 0)
  const judged = (choices ? Math.min(taken, train.length) : taken) * perPrompt + rounds * evaluation.items
  const asked = config.rewards.flatMap(({ name, judge }) =>
    (judge ? membersOf(judge) : []).map(({ path, judge }) => ({ name: name + path, judge }))
  )
  for (const { name, judge } of asked) {
    if (judge.provider === 'function') continue
    const calls = judged * (judge.votes ?? 1)
    const price = priceOf(judge.provider, judge.model ?? '', judge.base_url !== undefined, judge.price_table)
    lines.push(`judge     ${name}: at most ${calls} calls${costNote(price, calls, choices ? 0 : rollout.max_tokens)}`)
  }
  return plan()
}

const memoryNote = ({ training }: RunConfig): string =>
  training.memory === undefined
    ? `${sizeText(availableMemory())} that are free`
    : `the ${sizeText(bytesOf(training.memory))} of training.memory`

/** The model is loaded without what training adds: so a file that cannot be read shows now. */
async function describeModel({ model }: RunConfig): Promise<string> {
  const { lora, adapter } = model
  using policy = await Policy.load(model.path, {
    dtype: model.dtype,
    trainable: false,
    ...(lora ? { lora: { rank: lora.rank, alpha: lora.alpha, targetModules: lora.target_modules } } : {}),
    ...(adapter === undefined ? {} : { adapter })
  })
  const { family, layers, hidden, maxPositions } = policy.description
  return `model     ${model.path}: ${family}, ${layers} layers of width ${hidden}, context ${maxPositions}`
}

const millions = (count: number): string =>
  count < 1e6 ? `${(count / 1e3).toFixed(1)} thousand` : `${(count / 1e6).toFixed(1)} million`

/** Taken for a judge's call beside the answer: rubric and prompt, and a short reply. */
const promptTokens = 400
const replyTokens = 30

function costNote(price: { input: number; output: number } | null | undefined, calls: number, answer: number): string {
  if (!price) return ', price unknown'
  const each = ((promptTokens + answer) * price.input + replyTokens * price.output) / 1e6
  return `, about $${(calls * each).toFixed(2)} (${promptTokens} + ${answer} tokens in, ${replyTokens} out each)`
}
