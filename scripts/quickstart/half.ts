/** Weights as float16: half the size on disk, exact to 11 bits. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Entry {
  dtype: string
  shape: number[]
  data_offsets: [number, number]
}

const bits = new Uint32Array(1)
const number = new Float32Array(bits.buffer)

/** Rounds to the nearest, ties to even. Weights are far below float16's largest number. */
function halfOf(value: number): number {
  number[0] = value
  const sign = (bits[0]! >>> 16) & 0x8000
  const magnitude = Math.abs(value)
  if (!(magnitude < 65504)) throw new RangeError(`a weight of ${value} does not fit float16`)
  // Below the smallest normal number the spacing is 2^-24.
  if (magnitude < 2 ** -14) return sign | roundEven(magnitude * 2 ** 24)
  const exponent = Math.floor(Math.log2(magnitude))
  // Rounding up may carry into the exponent, which is what adding does.
  return sign | (((exponent + 15) << 10) + roundEven((magnitude / 2 ** exponent - 1) * 1024))
}

function roundEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  return floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0)
}

/** Rewrites a model's folder. */
export function halveWeights(folder: string): void {
  const file = join(folder, 'model.safetensors')
  const bytes = readFileSync(file)
  const start = 8 + Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, Entry>
  const halved: Record<string, Entry> = {}
  const parts: Buffer[] = []
  let offset = 0
  for (const [name, { dtype, shape, data_offsets: at }] of Object.entries(header)) {
    if (name === '__metadata__') continue
    if (dtype !== 'F32') throw new Error(`${name} is ${dtype}; expected F32`)
    const count = (at[1] - at[0]) / 4
    const part = Buffer.alloc(2 * count)
    for (let index = 0; index < count; index++) {
      part.writeUInt16LE(halfOf(bytes.readFloatLE(start + at[0] + 4 * index)), 2 * index)
    }
    halved[name] = { dtype: 'F16', shape, data_offsets: [offset, offset + part.length] }
    offset += part.length
    parts.push(part)
  }
  const text = JSON.stringify(halved)
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  writeFileSync(file, Buffer.concat([length, Buffer.from(padded), ...parts]))
  const config = join(folder, 'config.json')
  const described = JSON.parse(readFileSync(config, 'utf8')) as Record<string, unknown>
  writeFileSync(config, JSON.stringify({ ...described, dtype: 'float16' }, null, 2) + '\n')
}
