/**
 * The native sources, by how they are compiled: binding.gyp asks here, so that it and CMakeLists.txt build the same
 * files with the same flags.  `node scripts/sources.mjs <portable|avx2|avx512|avx512bf16|napi>` prints one file a line.
 */
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const engineFolders = ['core', 'reference', 'cpu', 'rl', 'device', 'model', 'io']
const instructionSets = ['avx2', 'avx512', 'avx512bf16']

function listFolder(folder) {
  try {
    return readdirSync(join(root, 'native', folder))
      .filter((name) => name.endsWith('.cpp'))
      .sort()
      .map((name) => `native/${folder}/${name}`)
  } catch {
    return []
  }
}

/** The kind of an engine source: its instruction set by the suffix of its name in native/cpu, else portable. */
function kindOf(source) {
  const match = /^native\/cpu\/.*_(avx2|avx512|avx512bf16)\.cpp$/.exec(source)
  return match ? match[1] : 'portable'
}

export function sources(kind) {
  if (kind === 'napi') return listFolder('napi')
  if (kind !== 'portable' && !instructionSets.includes(kind)) throw new Error(`unknown kind of sources: ${kind}`)
  return engineFolders.flatMap(listFolder).filter((source) => kindOf(source) === kind)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(sources(process.argv[2]).join('\n') + '\n')
}
