/** A worker thread that has the RL calls at hand, as `rl`, and runs a few lines of JavaScript with them. */
import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { packageRoot } from '../../src/binding/load.js'

const prelude = `
const { parentPort, workerData } = require('node:worker_threads')
const { createJiti } = require('node:module').createRequire(workerData.root)('jiti')
const code = ({ code, message }) => code ?? message
createJiti(workerData.root).import(workerData.index).then(async (rl) => {
`

/** @param body sees `rl`, `data`, `parentPort`, and `code(error)`; may await. */
export function rlWorker(body: string, data: unknown): Worker {
  const source = `${prelude} const { data } = workerData; ${body} })`
  const index = join(packageRoot, 'src', 'rl', 'index.ts')
  return new Worker(source, { eval: true, workerData: { root: join(packageRoot, 'package.json'), index, data } })
}

/** The next message of a worker; rejects with its error. */
export async function message<Value>(worker: Worker): Promise<Value> {
  return (await once(worker, 'message'))[0] as Value
}
