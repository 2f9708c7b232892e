/**
 * A whole run from a configuration, told as events. Ctrl-C finishes the step in work and saves; --resume goes on.
 *
 *     npx jiti examples/train.ts [RUN_YAML] [KEY=VALUE ...] [--resume]
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig, train } from 'adjudge'

const words = process.argv.slice(2)
const resume = words.includes('--resume')
const file = words.find((word) => /\.ya?ml$/.test(word)) ?? 'examples/customers.yaml'
const loaded = loadConfig(
  file,
  words.filter((word) => /^[\w.-]+=/.test(word))
)
const controller = new AbortController()
process.once('SIGINT', () => controller.abort())

// A run is never written over by accident; this example begins anew each time.
const { runs, name } = loaded.config
if (!resume && file === 'examples/customers.yaml') rmSync(join(runs, name), { recursive: true, force: true })

for await (const event of train(loaded, { resume, signal: controller.signal })) {
  switch (event.type) {
    case 'start':
      console.log(`${event.folder}: steps ${event.step + 1} to ${event.steps}`)
      break
    case 'step':
      console.log(
        `step ${event.step}: reward ${event.metrics.reward?.toFixed(3)}, entropy ${event.metrics.entropy?.toFixed(2)}`
      )
      break
    case 'evaluation':
      console.log(`step ${event.step}: held out ${JSON.stringify(event.metrics)}`)
      break
    case 'checkpoint':
      console.log(`saved ${event.folder}`)
      break
    case 'warning':
      console.warn(event.message)
      break
    case 'done':
      console.log(`${event.reason} after step ${event.step}`)
  }
}
