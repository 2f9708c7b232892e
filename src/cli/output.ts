/** Where records go: a file that is whole or not there, or standard output as they come. */
import { AdjudgeError } from '../errors.js'
import { standardInput } from '../data/index.js'
import { JsonlWriter } from '../train/files.js'

export interface RecordWriter {
  write(record: object): Promise<void>
  finish(): Promise<void>
  abandon(): Promise<void>
}

/** Standard output has the same sign as standard input. */
export const toStandardOutput = (path: string): boolean => path === standardInput

export const openOutput = (path: string): Promise<RecordWriter> =>
  toStandardOutput(path) ? Promise.resolve(standardOutput()) : JsonlWriter.open(path)

function standardOutput(): RecordWriter {
  return {
    write: (record) =>
      new Promise((resolve, reject) => {
        const failed = (cause: Error): void =>
          reject(
            new AdjudgeError('FILE_UNWRITABLE', `standard output: cannot be written (${cause.message})`, { cause })
          )
        process.stdout.once('error', failed)
        // Waiting for the reader keeps what is held flat.
        const room = process.stdout.write(JSON.stringify(record) + '\n')
        const done = (): void => {
          process.stdout.off('error', failed)
          resolve()
        }
        if (room) done()
        else process.stdout.once('drain', done)
      }),
    finish: () => Promise.resolve(),
    abandon: () => Promise.resolve()
  }
}
