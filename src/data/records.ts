/** Finds the records of a file: one pass over its bytes, and only their places are kept. */
import { createReadStream } from 'node:fs'

/** Byte range and first line (from 1) of each record; the range leaves out the line end. */
export interface RecordTable {
  starts: Float64Array
  ends: Float64Array
  lines: Float64Array
}

const newline = 0x0a
const quote = 0x22
const byteOrderMark = [0xef, 0xbb, 0xbf]

/** Blank lines are no records. `quoted`: a line end between double quotes belongs to its record (CSV). */
export async function findRecords(file: string, quoted: boolean): Promise<RecordTable> {
  const starts: number[] = []
  const ends: number[] = []
  const lines: number[] = []
  let start = 0
  let startLine = 1
  let line = 1
  let blank = true
  let inside = false
  let at = 0
  const finish = (end: number): void => {
    if (!blank) {
      starts.push(start)
      ends.push(end)
      lines.push(startLine)
    }
    blank = true
  }
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    for (const byte of chunk as Buffer) {
      if (at < 3 && byte === byteOrderMark[at] && start === at) start = at + 1
      else if (byte === newline) {
        line++
        if (!inside) {
          finish(at)
          start = at + 1
          startLine = line
        }
      } else {
        if (quoted && byte === quote) inside = !inside
        if (byte > 0x20) blank = false
      }
      at++
    }
  }
  finish(at)
  return { starts: Float64Array.from(starts), ends: Float64Array.from(ends), lines: Float64Array.from(lines) }
}
