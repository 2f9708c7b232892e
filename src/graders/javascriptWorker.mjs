// Runs the javascript grader's code on a worker thread.
import { createContext, Script } from 'node:vm'

/** Compiled programs by their source; a run has few. */
const programs = new Map()
const most = 64

/**
 * `input` (JSON of {sample, item}) is graded; without one the source is only checked. All that goes wrong in the user's
 * code comes back as a text. Each call evaluates the source anew: what it keeps in its own variables cannot make a score
 * depend on which thread saw which item before.
 */
export default function run({ source, filename, timeout, input }) {
  try {
    const { script, context } = programOf(source, filename)
    context.input = input
    const result = script.runInContext(context, { timeout })
    if (input === undefined) return typeof result === 'function' ? {} : { error: 'it defines no function grade' }
    if (typeof result === 'number') return { result }
    const shown = typeof result === 'object' && result !== null ? 'an object' : `${typeof result} ${String(result)}`
    return { error: `grade returned ${shown}; expected a number` }
  } catch (error) {
    return { error: messageOf(error) }
  }
}

function programOf(source, filename) {
  let program = programs.get(source)
  if (!program) {
    // Alone, for an error about the source itself, at its own line.
    new Script(source, { filename })
    const call = 'typeof input === "undefined" ? grade : grade(JSON.parse(input).sample, JSON.parse(input).item)'
    const script = new Script(`(() => { ${source}\n;return typeof grade === 'function' ? (${call}) : undefined })()`, {
      filename
    })
    const context = createContext(Object.create(null), {
      codeGeneration: { strings: false, wasm: false },
      // What a promise of the user's code goes on with counts into the time limit, too.
      microtaskMode: 'afterEvaluate'
    })
    if (programs.size >= most) programs.delete(programs.keys().next().value)
    programs.set(source, (program = { script, context }))
  }
  return program
}

/** Errors of the other context are no instances of ours, and may be anything at all. */
function messageOf(error) {
  try {
    return String(error?.message ?? error)
  } catch {
    return 'it threw something that is no text'
  }
}
