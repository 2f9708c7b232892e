// Runs a user's function on a worker thread. Plain JavaScript, so that a thread can load it from the sources and dist/.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Milliseconds after which a task comes back with what it has: its other inputs are sent again. */
const slice = 20

const compiled = new URL('./function.js', import.meta.url)
const { loadFunction, runFunction } = existsSync(fileURLToPath(compiled))
  ? await import(compiled.href)
  : await (await import('jiti')).createJiti(import.meta.url).import('./function.ts')

const loaded = new Map()

/**
 * place[0]: 1 + the input whose function runs just now, or 0; place[1] counts the inputs begun. The verdicts of the
 * first inputs come back; without inputs the function is only loaded.
 */
export default async function run({ path, inputs, timeout, place }) {
  let judge = loaded.get(path)
  if (!judge) {
    try {
      loaded.set(path, (judge = await loadFunction(path)))
    } catch (error) {
      return { error: error.message }
    }
  }
  const started = performance.now()
  const verdicts = []
  for (let index = 0; index < inputs.length; index++) {
    if (index > 0 && performance.now() - started > slice) break
    Atomics.store(place, 0, index + 1)
    Atomics.add(place, 1, 1)
    // What is synchronous in it is done when this returns; promises go on side by side.
    verdicts.push(runFunction(judge, inputs[index], { timeout }))
    Atomics.store(place, 0, 0)
  }
  return { verdicts: await Promise.all(verdicts) }
}
