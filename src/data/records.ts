/** Where records begin and end in a file's bytes: lines, of CSV with line ends between quotes. */
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

export interface TextRecord {
  text: string
  /** First line of the record, from 1. */
  line: number
  /** Bytes read up to its end. */
  end: number
}

const mark = Buffer.from(byteOrderMark)

/** The records of a stream of bytes as they come; what is held is one record and one chunk. */
export async function* splitRecords(
  chunks: AsyncIterable<Uint8Array>,
  quoted: boolean
): AsyncGenerator<TextRecord, void, undefined> {
  let rest: Buffer = Buffer.alloc(0)
  let before = 0
  let line = 1
  const recordOf = (bytes: Buffer, end: number): TextRecord | undefined => {
    const text = bytes.toString('utf8')
    const record = text.trim() === '' ? undefined : { text, line, end }
    line++
    if (quoted) for (const byte of bytes) if (byte === newline) line++
    return record
  }
  let first = true
  // Where the search in `rest` goes on, and whether it stands between quotes there.
  let looked = 0
  let inside = false
  for await (const chunk of chunks) {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    if (first && rest.length < mark.length) continue
    let start = first && rest.subarray(0, mark.length).equals(mark) ? mark.length : 0
    if (first) looked = start
    first = false
    while (looked < rest.length) {
      let at = rest.indexOf(newline, looked)
      if (at < 0) at = rest.length
      if (quoted) for (let place = looked; place < at; place++) if (rest[place] === quote) inside = !inside
      looked = at + 1
      if (at === rest.length || inside) continue
      const record = recordOf(rest.subarray(start, at), before + at + 1)
      start = at + 1
      if (record) yield record
    }
    before += start
    rest = rest.subarray(start)
    looked = rest.length
  }
  const record = recordOf(rest, before + rest.length)
  if (record) yield record
}
