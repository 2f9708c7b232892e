/** Compiles src/ into dist/. It is compiled beside and then swapped in, so that a running program keeps its files. */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const fresh = join(root, '.dist-new')
const dist = join(root, 'dist')

rmSync(fresh, { recursive: true, force: true })
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', fresh], {
  cwd: root,
  stdio: 'inherit'
})
if (status !== 0) {
  console.error('dist: tsc found errors; dist/ is left as it was')
  rmSync(fresh, { recursive: true, force: true })
  process.exit(1)
}
// Templates, prompts and other files that code reads beside itself.
cpSync(join(root, 'src'), fresh, { recursive: true, filter: (path) => !/\.ts$/.test(path) })
const command = join(fresh, 'cli', 'index.js')
if (existsSync(command)) chmodSync(command, 0o755)
rmSync(dist, { recursive: true, force: true })
renameSync(fresh, dist)
