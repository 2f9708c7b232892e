// Compares models with golden values of Transformers and PEFT: models/NAME/{config.json, model.safetensors,
// golden.safetensors, adapter/}, and NAME.json with tokenizer ids, rendered chats, logits and greedy answers.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Bounds by kind of error: absolute, but for gradients, which are relative in norm. */
export const bounds = { logits: 1e-4, 'log-probs': 1e-4, loss: 1e-5, gradients: 1e-4, 'top logits': 2e-3 }

function worstDifference(actual, expected) {
  let worst = actual.length === expected.length ? 0 : Infinity
  for (let index = 0; index < expected.length; index++) {
    const difference = Math.abs(actual[index] - expected[index])
    if (!(difference <= worst)) worst = Number.isNaN(difference) ? Infinity : difference
  }
  return worst
}

function relativeNorm(actual, expected) {
  let difference = 0
  let size = 0
  for (let index = 0; index < expected.length; index++) {
    difference += (actual[index] - expected[index]) ** 2
    size += expected[index] ** 2
  }
  return actual.length === expected.length ? Math.sqrt(difference / Math.max(size, 1e-30)) : Infinity
}

/** Collects what was met and what not, with the worst error of each kind. */
export class Report {
  met = 0
  notMet = []
  skipped = []
  worst = {}

  error(name, kind, value) {
    if (!(value <= (this.worst[kind] ?? 0))) this.worst[kind] = value
    this.check(name, value <= bounds[kind], `${kind} differ by ${value.toExponential(2)}, allowed ${bounds[kind]}`)
  }

  check(name, good, reason) {
    if (good) this.met++
    else this.notMet.push({ name, reason })
  }
}

function rowsOf(tensor) {
  const [rows, width] = tensor.shape
  return Array.from({ length: rows }, (_, row) => Array.from(tensor.data.subarray(row * width, (row + 1) * width)))
}

async function checkValues(policy, golden, name, report) {
  const rows = rowsOf(golden.input_ids)
  const vocabulary = golden.logits.shape[2]
  for (const [index, tokens] of rows.entries()) {
    const { data } = await policy.logits(tokens)
    const size = tokens.length * vocabulary
    const expected = golden.logits.data.subarray(index * size, (index + 1) * size)
    report.error(`${name} row ${index}`, 'logits', worstDifference(data, expected))
  }
  if (golden.log_probs) {
    const actual = await policy.logProbs(
      rows.map((tokens) => ({ promptTokens: tokens.slice(0, 1), tokens: tokens.slice(1) }))
    )
    rowsOf(golden.log_probs).forEach((expected, index) =>
      report.error(`${name} row ${index}`, 'log-probs', worstDifference(actual[index], expected))
    )
  }
  const { loss, gradients } = await policy.lossAndGradients(rows.map((tokens) => ({ tokens })))
  report.error(name, 'loss', Math.abs(loss - golden.loss.data[0]))
  for (const [key, expected] of Object.entries(golden)) {
    if (!key.startsWith('grad.')) continue
    const parameter = key.slice('grad.'.length)
    const actual = gradients[parameter]
    if (!actual) report.check(`${name} ${parameter}`, false, 'the model has no such parameter')
    else report.error(`${name} ${parameter}`, 'gradients', relativeNorm(actual.data, expected.data))
  }
}

/** greedy[row] is a prompt of some tokens and its greedy continuation; the prompt is where it agrees with input_ids. */
async function checkGreedy(policy, golden, name, report) {
  const inputs = rowsOf(golden.input_ids)
  for (const [index, expected] of rowsOf(golden.greedy).entries()) {
    let shared = 0
    while (shared < expected.length && expected[shared] === inputs[index][shared]) shared++
    const prompt = shared > 0 ? expected.slice(0, shared) : inputs[index]
    const answer = shared > 0 ? expected.slice(shared) : expected
    if (answer.length === 0) continue
    const [group] = await policy.generate([{ tokens: prompt }], { temperature: 0, maxTokens: answer.length })
    const actual = Array.from(group.completions[0].tokens)
    const good = actual.every((token, at) => token === answer[at])
    report.check(`${name} row ${index}`, good, `greedy tokens are ${actual.join(' ')}, expected ${answer.join(' ')}`)
  }
}

async function checkModel(adjudge, readTensors, folder, name, report) {
  const load = (options) => adjudge.Policy.load(folder, { dtype: 'float32', ...options })
  let policy
  try {
    policy = await load({})
  } catch (error) {
    if (error.code !== 'UNSUPPORTED_FAMILY') throw error
    report.skipped.push(`${name}: ${error.message}`)
    return
  }
  try {
    const golden = await readTensors(join(folder, 'golden.safetensors'))
    await checkValues(policy, golden, name, report)
    await checkGreedy(policy, golden, name, report)
  } finally {
    policy.dispose()
  }
  const adapter = join(folder, 'adapter')
  if (!existsSync(adapter)) return
  const adapted = await load({ adapter })
  try {
    await checkValues(adapted, await readTensors(join(adapter, 'golden.safetensors')), `${name} with adapter`, report)
  } finally {
    adapted.dispose()
  }
}

/** A real model: tokenizer, chat template, top logits and greedy answers. `file` is NAME.json, `folder` the model. */
async function checkInstruct(adjudge, file, folder, report) {
  const golden = JSON.parse(readFileSync(file, 'utf8'))
  const policy = await adjudge.Policy.load(folder, { dtype: 'float32', trainable: false })
  const same = (left, right) => left.length === right.length && Array.from(left).every((id, at) => id === right[at])
  try {
    for (const { text, ids } of golden.tokenizer) {
      report.check(`tokenizer ${JSON.stringify(text)}`, same(policy.tokenizer.encode(text), ids), 'other ids')
    }
    for (const item of golden.prompts) {
      const rendered = policy.renderChat([{ role: 'user', content: item.prompt }])
      report.check(`chat ${item.prompt}`, rendered === item.rendered, `rendered ${JSON.stringify(rendered)}`)
      report.check(`ids ${item.prompt}`, same(policy.tokenizer.encode(rendered), item.ids), 'other ids')
      const { data, shape } = await policy.logits(item.ids)
      const last = data.subarray((shape[0] - 1) * shape[1])
      const error = worstDifference(
        item.top_ids.map((id) => last[id]),
        item.top_logits
      )
      report.error(item.prompt, 'top logits', error)
      const [group] = await policy.generate([{ tokens: item.ids }], {
        temperature: 0,
        maxTokens: item.greedy_ids.length
      })
      const agree = same(group.completions[0].tokens, item.greedy_ids)
      if (agree || item.smallest_top2_gap > 2 * error) {
        report.check(`greedy ${item.prompt}`, agree, `answered ${JSON.stringify(group.completions[0].text)}`)
      } else {
        report.skipped.push(`greedy ${item.prompt}: the two best tokens are closer than the error`)
      }
      const whole = [...item.ids, ...item.greedy_ids]
      const start = whole.length - item.log_probs.length
      const [logProbs] = await policy.logProbs([{ promptTokens: whole.slice(0, start), tokens: whole.slice(start) }])
      report.error(item.prompt, 'top logits', worstDifference(logProbs, item.log_probs))
    }
  } finally {
    policy.dispose()
  }
}

/**
 * @param folder laid out like the golden folder
 * @param adjudge the library under test
 * @param readTensors reads a safetensors file
 * @param models folder that holds the real models that NAME.json speaks of
 */
export async function checkModels(folder, adjudge, readTensors, models) {
  const report = new Report()
  const root = join(folder, 'models')
  for (const name of existsSync(root) ? readdirSync(root).sort() : []) {
    if (!existsSync(join(root, name, 'golden.safetensors'))) continue
    await checkModel(adjudge, readTensors, join(root, name), name, report)
  }
  for (const file of readdirSync(folder).filter((name) => name.endsWith('-instruct.json'))) {
    const name = file.slice(0, -'.json'.length)
    const at = models && join(models, name)
    if (at && existsSync(at)) await checkInstruct(adjudge, join(folder, file), at, report)
    else report.skipped.push(`${file}: give the folder that holds ${name} as the second argument`)
  }
  return report
}
