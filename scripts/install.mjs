/**
 * Runs after `npm install`, and builds the addon on request. A prebuilt or already built addon is taken as it is;
 * where there is none, the install still succeeds and loading the addon later says what to do. Nothing is downloaded.
 *
 *   node scripts/install.mjs            what npm runs; BUILD_FROM_SOURCE=1 makes it build
 *   node scripts/install.mjs --build    compile now (also: npx adjudge build)
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
export const builtAddon = join(root, 'build', 'Release', 'adjudge.node')
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
  const child = spawn(process.execPath, [cmakeJs, 'compile', '--directory', root, '--parallel', jobs], {
    cwd: root,
    stdio: 'inherit'
  })
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (exitCode) => resolve(exitCode ?? 1))
  })
  if (code !== 0) throw new Error(`cmake-js ended with code ${code}; the compiler's message is above`)
  return builtAddon
}

async function main() {
  const forced = process.argv.includes('--build')
  const asked = forced || ['1', 'true'].includes(process.env.BUILD_FROM_SOURCE ?? '')
  if (asked) {
    console.log(`adjudge: built ${await buildAddon()}`)
  } else if (!existsSync(builtAddon) && !existsSync(prebuiltAddon)) {
    console.log(
      `adjudge: no prebuilt addon for ${process.platform}-${process.arch}. Build it with: npx adjudge build` +
        '\n         (in a checkout of the sources: npm run build)'
    )
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(`adjudge: ${error.message}`)
    process.exitCode = 1
  })
}
