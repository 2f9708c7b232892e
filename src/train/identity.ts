/** The resolved configuration that a run keeps, by which a resumed run knows itself. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { AdjudgeError } from '../errors.js'
import { writeAtomic } from './files.js'
import type { RunConfig } from './schema.js'

export const configFormat = 1

/** What a resumed run must have in common with its beginning: the rest (steps, budget, evaluation) may change. */
const fixed = [
  ...['model', 'data', 'rollout', 'rewards', 'reward', 'algorithm', 'off_policy', 'value', 'optimizer']
] as (keyof RunConfig)[]
const fixedTraining = ['seed', 'iterations', 'mini_batches'] as const

interface KeptConfig extends RunConfig {
  format: number
  hashes: { data: string; model: string }
}

/** Writes `config.yaml`; on resume compares with the one that is there. Throws CHECKPOINT_INVALID, FORMAT_NEWER. */
export async function keepConfig(folder: string, config: RunConfig, resumed: boolean): Promise<void> {
  const file = join(folder, 'config.yaml')
  const hashes = { data: await hashOf(config.data.train), model: await hashOf(weightsFile(config.model.path)) }
  const kept: KeptConfig = { format: configFormat, ...config, hashes }
  if (resumed && existsSync(file)) compare(parse(readFileSync(file, 'utf8')) as KeptConfig, kept, file)
  await writeAtomic(file, stringify(kept))
}

function compare(before: KeptConfig, now: KeptConfig, file: string): void {
  if (before.format > configFormat) {
    throw new AdjudgeError('FORMAT_NEWER', `${file}: format ${before.format} was written by a newer adjudge`)
  }
  const same = (a: unknown, b: unknown): boolean => stringify(a ?? null) === stringify(b ?? null)
  const changed: string[] = fixed.filter((section) => !same(before[section], now[section]))
  for (const key of fixedTraining) {
    if (before.training[key] !== now.training[key]) changed.push(`training.${key}`)
  }
  if (before.hashes.data !== now.hashes.data) changed.push(`the contents of ${now.data.train}`)
  if (before.hashes.model !== now.hashes.model) changed.push(`the weights of ${now.model.path}`)
  if (changed.length === 0) return
  throw new AdjudgeError(
    'CHECKPOINT_INVALID',
    `${file}: the run was begun with other values of ${changed.join(', ')}; put them back to resume, or give the run another name`
  )
}

const weightsFile = (path: string): string =>
  !existsSync(path) || !statSync(path).isDirectory()
    ? path
    : (['model.safetensors', 'model.safetensors.index.json'].map((name) => join(path, name)).find(existsSync) ?? path)

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256')
  if (existsSync(file) && statSync(file).isFile()) {
    for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer)
  }
  return `sha256:${hash.digest('hex')}`
}
