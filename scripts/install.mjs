/**
 * Runs after `npm install`, and builds the addon on request. A prebuilt or already built addon is taken as it is;
 * where there is none, the install still succeeds and loading the addon later says what to do. Nothing is downloaded.
 *
 *   node scripts/install.mjs            what npm runs; BUILD_FROM_SOURCE=1 makes it build
 *   node scripts/install.mjs --build    compile the addon now
 *   node scripts/install.mjs --cuda     compile the library of CUDA kernels beside it, where nvcc is
 *   both                                what npx adjudge build does
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
export const builtAddon = join(root, 'build', 'Release', 'adjudge.node')
export const builtCuda = join(root, 'build', 'Release', 'adjudge_cuda.so')
export const prebuiltAddon = join(root, 'prebuilds', `${process.platform}-${process.arch}`, 'adjudge.node')

function missingTools() {
  const has = (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0
  const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++']
  return [
    ['cmake', has('cmake')],
    ['make', has('ninja') || has('make')],
    ['g++', compilers.some(has)]
  ].flatMap(([name, present]) => (present ? [] : [name]))
}

/** Runs a command in the package's folder, its output going to this process's own. Resolves with its exit code. */
async function show(command, args, env = {}) {
  const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (exitCode) => resolve(exitCode ?? 1))
  })
}

/** Compiles the addon into build/Release. Resolves with its path. */
export async function buildAddon() {
  const missing = missingTools()
  if (missing.length > 0) {
    throw new Error(
      `Building adjudge needs ${missing.join(', ')}. On Debian or Ubuntu: sudo apt-get install -y g++ cmake make`
    )
  }
  if (!existsSync(join(root, 'native')) || readdirSync(join(root, 'native', 'napi')).length === 0) {
    throw new Error(`No native sources in ${join(root, 'native')}: reinstall adjudge`)
  }
  const cmakeJs = createRequire(join(root, 'package.json')).resolve('cmake-js/bin/cmake-js')
  const jobs = String(Math.max(1, availableParallelism()))
  mkdirSync(join(root, 'build'), { recursive: true })
  const code = await show(process.execPath, [cmakeJs, 'compile', '--directory', root, '--parallel', jobs])
  if (code !== 0) throw new Error(`cmake-js ended with code ${code}; the compiler's message is above`)
  return builtAddon
}

/** CUDA's compiler: CUDACXX, on the path, or where the toolkit installs it. */
function findNvcc() {
  const candidates = [process.env.CUDACXX, 'nvcc', '/usr/local/cuda/bin/nvcc'].filter(Boolean)
  return candidates.find((nvcc) => spawnSync(nvcc, ['--version'], { stdio: 'ignore' }).status === 0)
}

/**
 * Compiles the library of CUDA kernels beside the addon, where CUDA's compiler is. Resolves with its path, or undefined
 * without nvcc. `architectures`, such as `90a-real`: what it is compiled for, in CMake's words.
 */
export async function buildCuda({
  folder = join('build', 'cuda'),
  output = dirname(builtCuda),
  architectures = process.env.ADJUDGE_CUDA_ARCHITECTURES ?? '80-real;90a-real;100-virtual',
  command = show
} = {}) {
  const nvcc = findNvcc()
  if (!nvcc) return undefined
  const settings = [`-DADJUDGE_CUDA_ARCHITECTURES=${architectures}`, `-DADJUDGE_CUDA_OUTPUT=${output}`]
  const jobs = String(Math.max(1, availableParallelism()))
  const code =
    (await command('cmake', ['-S', '.', '-B', folder, '-DADJUDGE_CUDA=ON', ...settings], { CUDACXX: nvcc })) ||
    (await command('cmake', ['--build', folder, '--target', 'adjudge_cuda', '--parallel', jobs]))
  if (code !== 0) throw new Error(`the build of the CUDA kernels ended with code ${code}; the message is above`)
  return join(output, 'adjudge_cuda.so')
}

async function main() {
  const forced = process.argv.includes('--build')
  const cuda = process.argv.includes('--cuda')
  const asked = forced || ['1', 'true'].includes(process.env.BUILD_FROM_SOURCE ?? '')
  if (asked) {
    console.log(`adjudge: built ${await buildAddon()}`)
  } else if (!cuda && !existsSync(builtAddon) && !existsSync(prebuiltAddon)) {
    console.log(
      `adjudge: no prebuilt addon for ${process.platform}-${process.arch}. Build it with: npx adjudge build` +
        '\n         (in a checkout of the sources: npm run build)'
    )
  }
  if (!cuda) return
  const library = await buildCuda()
  if (library) console.log(`adjudge: built ${library}`)
  else console.log('adjudge: no CUDA kernels: nvcc is not installed (CUDACXX names another place)')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`adjudge: ${error.message}`)
    process.exitCode = 1
  })
}
