/** Compiles the addon where no prebuilt one fits, and the CUDA kernels: what `adjudge build` calls. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { AdjudgeError } from '../errors.js'
import { packageRoot } from './load.js'

/**
 * Compiles the addon into the package's build folder, and beside it, where nvcc is, the library of CUDA kernels; the
 * compilers' output goes to this process's own.
 * @throws AdjudgeError `ADDON_NOT_BUILT` where the build fails; the reason stands in the output above it.
 */
export async function buildAddon(): Promise<void> {
  const script = join(packageRoot, 'scripts', 'install.mjs')
  const child = spawn(process.execPath, [script, '--build', '--cuda'], { stdio: 'inherit' })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (exitCode) => resolve(exitCode ?? 1))
  })
  if (code !== 0)
    throw new AdjudgeError('ADDON_NOT_BUILT', 'The build of the native addon failed; see the output above')
}
