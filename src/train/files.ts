/** Files that are either whole or not there: written beside their place, flushed, then renamed. */
import { mkdirSync } from 'node:fs'
import { open, readdir, rename, rm, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AdjudgeError } from '../errors.js'

function unwritable(path: string, cause: unknown): AdjudgeError {
  const { code, message } = cause as NodeJS.ErrnoException
  const cures: Record<string, string> = {
    ENOSPC: 'the disk is full; free some space',
    EACCES: 'no permission; choose a folder that you may write to',
    EROFS: 'the file system is read-only; choose another folder',
    ENOTDIR: 'a part of the path is a file; choose another folder',
    EISDIR: 'it is a folder; choose another name'
  }
  return new AdjudgeError('FILE_UNWRITABLE', `${path}: cannot be written: ${cures[code ?? ''] ?? message}`, { cause })
}

/** Writes a JSONL file line by line; it gets its name when `finish` is called. Throws FILE_UNWRITABLE. */
export class JsonlWriter {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle
  ) {}

  static async open(path: string): Promise<JsonlWriter> {
    try {
      mkdirSync(dirname(path), { recursive: true })
      return new JsonlWriter(path, await open(partOf(path), 'w'))
    } catch (cause) {
      throw unwritable(path, cause)
    }
  }

  async write(record: object): Promise<void> {
    try {
      await this.handle.writeFile(JSON.stringify(record) + '\n')
    } catch (cause) {
      throw unwritable(this.path, cause)
    }
  }

  async finish(): Promise<void> {
    try {
      await this.handle.sync()
      await this.handle.close()
      await rename(partOf(this.path), this.path)
    } catch (cause) {
      throw unwritable(this.path, cause)
    }
  }

  /** Leaves nothing behind. */
  async abandon(): Promise<void> {
    await this.handle.close()
    await rm(partOf(this.path), { force: true })
  }
}

const partOf = (path: string): string => `${path}.${process.pid}.part`

/** Removes what a process that was killed left half-written in a run's folder: files, and checkpoints. */
export async function removeParts(folder: string): Promise<void> {
  for (const name of ['', 'rollouts', 'evaluations', 'checkpoints']) {
    const at = join(folder, name)
    const names = await readdir(at).catch(() => [])
    const parts = names.filter((entry) => /\.\d+\.part$|\.partial$/.test(entry))
    await Promise.all(parts.map((entry) => rm(join(at, entry), { recursive: true, force: true })))
  }
}

/** Throws FILE_UNWRITABLE; what stood there before is then untouched. */
export async function writeAtomic(path: string, content: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    mkdirSync(dirname(path), { recursive: true })
    handle = await open(partOf(path), 'w')
    await handle.writeFile(content)
    await handle.sync()
    await handle.close()
    handle = undefined
    await rename(partOf(path), path)
  } catch (cause) {
    await handle?.close().catch(() => undefined)
    await rm(partOf(path), { force: true }).catch(() => undefined)
    throw unwritable(path, cause)
  }
}
