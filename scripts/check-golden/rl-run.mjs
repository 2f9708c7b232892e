// node rl-run.mjs FOLDER BACKEND: one backend in a process of its own, since the instruction set and the library of
// kernels are chosen once per process. Prints { sources, lines, worst } or { absent: reason } as JSON.
import { loadAddon } from '../../dist/binding/load.js'
import * as library from '../../dist/rl/index.js'
import { checkRl } from './rl.mjs'

const [folder, backend] = process.argv.slice(2)

/** Why this machine has no such backend; null where it has. */
function absent() {
  try {
    loadAddon().instructionSet()
  } catch (error) {
    return error.message
  }
  if (backend !== 'cuda') return null
  const { usable, reason } = loadAddon().cudaState()
  return usable ? null : reason
}

const reason = absent()
process.stdout.write(JSON.stringify(reason === null ? checkRl(folder, library, backend) : { absent: reason }))
