import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { expect, it } from 'vitest'
import { addonCandidates } from '../../src/binding/load.js'
import { writeTinyModel } from './tinyModel.js'

/** Starts more work than it can finish and says so. */
const source = `
const { parentPort, workerData } = require('node:worker_threads')
const addon = require(workerData.addon)
const ones = (length) => new Int32Array(length).fill(1)
const sampling = { n: 50000, maxTokens: 60, maxBatch: 8, topLogProbs: 0, temperature: 1, topP: 1, minP: 0,
  repetitionPenalty: 1, topK: 0, seed: 1, eosTokens: ones(0), stop: [] }
addon.load({ weights: workerData.folder, config: workerData.config, configName: 'config.json', dtype: 'auto', trainable: true })
  .then((model) => {
    let seen = 0
    addon.generate(model, ones(2), Int32Array.of(0, 2), sampling, () => { if (++seen === 5) parentPort.postMessage(seen) })
    void addon.logits(model, ones(4))
  })
`

it('a worker can be terminated while its jobs run and report', async () => {
  const folder = writeTinyModel()
  const config = readFileSync(join(folder, 'config.json'), 'utf8')
  const addon = addonCandidates().find((path) => existsSync(path))
  for (let round = 0; round < 3; round++) {
    const worker = new Worker(source, { eval: true, workerData: { addon, folder, config } })
    const seen = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    expect(seen).toBe(5)
    expect(await worker.terminate()).toBe(1)
  }
})
