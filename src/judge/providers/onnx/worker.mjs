/**
 * A worker thread with one ONNX session: tokenises, sorts by length, pads, runs. Plain JavaScript, so that a thread can
 * load it from the sources and from dist/ alike.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRequire } from 'node:module'
import { workerData } from 'node:worker_threads'
import { Tokenizer } from '@huggingface/tokenizers'

/** Of a padded batch. */
const mostRows = 32
const mostTokens = 4096

const { folder, model, threads } = Array.isArray(workerData) ? workerData[1] : workerData
const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
// An optional peer: only who uses the provider has it.
const runtime = createRequire(import.meta.url)('onnxruntime-node')
const tokenizerFile = read('tokenizer.json')
const tokenizer = new Tokenizer(tokenizerFile, read('tokenizer_config.json'))
const session = await runtime.InferenceSession.create(model, {
  executionProviders: ['cpu'],
  intraOpNumThreads: threads,
  interOpNumThreads: 1,
  logSeverityLevel: 3
})

/**
 * A pair that is too long loses the beginning of its first text, then the end of its second; a single text its end, but
 * for the special token that closes it.
 */
function encode([first, second], limit) {
  const options = { add_special_tokens: true, return_token_type_ids: true }
  const whole = tokenizer.encode(first, second === null ? options : { ...options, text_pair: second })
  const ids = [...whole.ids]
  const types = [...(whole.token_type_ids ?? ids.map(() => 0))]
  const excess = ids.length - limit
  if (excess <= 0) return { ids, types, truncated: false }
  const cut = (start, count) => {
    ids.splice(start, count)
    types.splice(start, count)
  }
  let left = excess
  if (second !== null) {
    const bare = { add_special_tokens: false }
    const a = tokenizer.encode(first, bare).ids
    const start = placeOf(ids, a)
    if (start >= 0 && a.length > 0) {
      const count = Math.min(left, a.length)
      cut(start, count)
      left -= count
    }
  }
  if (left > 0) cut(ids.length - 1 - left, left)
  return { ids, types, truncated: true }
}

function placeOf(ids, part) {
  for (let start = 0; start + part.length <= ids.length; start++) {
    if (part.every((id, index) => ids[start + index] === id)) return start
  }
  return -1
}

/** texts: [first, second or null][]; pooling: undefined for logits. Rows come back in the order of the texts. */
export default async function run({ texts, limit, padToken, pooling }) {
  const encoded = texts.map((text) => encode(text, limit))
  const order = encoded.map((_, index) => index).sort((a, b) => encoded[a].ids.length - encoded[b].ids.length || a - b)
  const rows = new Array(texts.length)
  for (let at = 0; at < order.length;) {
    let end = at
    while (
      end < order.length &&
      end - at < mostRows &&
      (end === at || (end - at + 1) * encoded[order[end]].ids.length <= mostTokens)
    ) {
      end++
    }
    const places = order.slice(at, end)
    const results = await infer(
      places.map((place) => encoded[place]),
      padToken,
      pooling
    )
    places.forEach((place, index) => (rows[place] = results[index]))
    at = end
  }
  return {
    rows,
    tokens: Int32Array.from(encoded, ({ ids }) => ids.length),
    truncated: Uint8Array.from(encoded, ({ truncated }) => (truncated ? 1 : 0))
  }
}

async function infer(batch, padToken, pooling) {
  const width = batch.at(-1).ids.length
  const size = batch.length * width
  const ids = new BigInt64Array(size).fill(BigInt(padToken))
  const mask = new BigInt64Array(size)
  const types = new BigInt64Array(size)
  const positions = new BigInt64Array(size)
  batch.forEach((entry, row) => {
    for (let column = 0; column < entry.ids.length; column++) {
      ids[row * width + column] = BigInt(entry.ids[column])
      types[row * width + column] = BigInt(entry.types[column])
      mask[row * width + column] = 1n
      positions[row * width + column] = BigInt(column)
    }
  })
  const known = { input_ids: ids, attention_mask: mask, token_type_ids: types, position_ids: positions }
  const feeds = {}
  for (const name of session.inputNames) {
    if (!known[name]) throw new Error(`the model wants the input ${name}, which is not known`)
    feeds[name] = new runtime.Tensor('int64', known[name], [batch.length, width])
  }
  const outputs = await session.run(feeds)
  const wanted = pooling === undefined ? 'logits' : 'last_hidden_state'
  const { data, dims } = outputs[wanted] ?? outputs[session.outputNames[0]]
  if (!(data instanceof Float32Array)) throw new Error('the model gives no float32; export it without float16')
  if (pooling === undefined) {
    const columns = data.length / batch.length
    return batch.map((_, row) => data.slice(row * columns, (row + 1) * columns))
  }
  if (dims.length !== 3) throw new Error(`the model gives ${dims.join(' x ')}; expected hidden states`)
  return batch.map(({ ids: { length } }, row) => pool(data, row * width * dims[2], length, dims[2], pooling))
}

/** Of unit length. */
function pool(data, start, length, hidden, pooling) {
  const vector = new Float64Array(hidden)
  const counted = pooling === 'cls' ? 1 : length
  for (let token = 0; token < counted; token++) {
    for (let index = 0; index < hidden; index++) vector[index] += data[start + token * hidden + index]
  }
  const norm = Math.hypot(...vector)
  return Float32Array.from(vector, (value) => value / norm)
}
