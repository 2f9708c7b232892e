/** What a run will do, before it does it: the model, what it holds in memory, tokens, calls and their cost. */
import { Dataset } from '../data/index.js'
import { priceOf } from '../judge/index.js'
import { Policy } from '../policy/policy.js'
import type { LoadedConfig } from './config.js'

/** Lines for a person. Reads model and data and checks the first prompts; writes nothing and asks nobody. */
export async function planOf({ config }: LoadedConfig): Promise<string[]> {
  const { model, data, rollout, training, evaluation } = config
  await using train = await Dataset.open(data.train, data.prompt === undefined ? {} : { prompt: data.prompt })
  const { lora, adapter } = model
  using policy = await Policy.load(model.path, {
    dtype: model.dtype,
    ...(lora ? { lora: { rank: lora.rank, alpha: lora.alpha, targetModules: lora.target_modules } } : {}),
    ...(adapter === undefined ? {} : { adapter })
  })
  const { family, layers, hidden, maxPositions, bytes } = policy.description
  const parameters = policy.parameters()
  const count = (trainable: boolean): number =>
    parameters
      .filter((one) => one.trainable || !trainable)
      .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  const mebibytes = (size: number): string => `${(size / 2 ** 20).toFixed(0)} MiB`
  const lines = [
    `model     ${model.path}: ${family}, ${layers} layers of width ${hidden}, context ${maxPositions}`,
    `learns    ${millions(count(true))} of ${millions(count(false))} parameters`,
    `memory    the model holds ${mebibytes(bytes)}; gradients and optimizer ${mebibytes(count(true) * 12)}`,
    `data      ${data.train}: ${train.length} items, ${((training.steps * rollout.prompts) / train.length).toFixed(2)} epochs`
  ]
  if (config.algorithm.preset === 'sft') return [...lines, `steps     ${training.steps} of ${rollout.prompts} items`]
  const sampled = rollout.prompts * rollout.completions
  lines.push(
    `steps     ${training.steps} of ${rollout.prompts} prompts × ${rollout.completions} completions, at most ` +
      `${millions(training.steps * sampled * rollout.max_tokens)} tokens sampled`
  )
  const rounds = evaluation.every > 0 ? 1 + Math.ceil(training.steps / evaluation.every) : 0
  const calls = training.steps * sampled + rounds * evaluation.items
  for (const { name, judge } of config.rewards) {
    if (!judge || judge.provider === 'function') continue
    const price = priceOf(judge.provider, judge.model ?? '', judge.base_url !== undefined, judge.price_table)
    lines.push(`judge     ${name}: at most ${calls} calls${costNote(price, calls, rollout.max_tokens)}`)
  }
  return lines
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
