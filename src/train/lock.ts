/** One run at a time in a run's folder: two would mix up their steps. */
import { join } from 'node:path'
import { fromNative } from '../binding/errors.js'
import { loadAddon } from '../binding/load.js'
import { AdjudgeError } from '../errors.js'

/**
 * Takes the folder for this process, until the function that it gives is called or the process ends, however it ends.
 * Throws FILE_LOCKED.
 */
export function lockRun(folder: string): () => void {
  try {
    return loadAddon().lockFile(join(folder, 'lock'))
  } catch (cause) {
    const error = fromNative(cause)
    if (!(error instanceof AdjudgeError && error.code === 'FILE_LOCKED')) throw error
    const message = `${error.message}, or give this run another name (--set name=…)`
    throw new AdjudgeError('FILE_LOCKED', message, { cause })
  }
}
