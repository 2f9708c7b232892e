/** Rows of a Parquet file, a row group at a time: what is in memory is one group. */
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

export interface ParquetRows {
  count: number
  rows(): AsyncGenerator<Record<string, unknown>>
}

/** Throws what the reader throws on a file that is no Parquet, or damaged. */
export async function openParquet(path: string): Promise<ParquetRows> {
  const file = await asyncBufferFromFile(path)
  const metadata = await parquetMetadataAsync(file)
  return {
    count: Number(metadata.num_rows),
    async *rows() {
      let rowStart = 0
      for (const { num_rows: count } of metadata.row_groups) {
        const rowEnd = rowStart + Number(count)
        const rows = await parquetReadObjects({ file, metadata, compressors, rowStart, rowEnd })
        for (const row of rows) yield plain(row) as Record<string, unknown>
        rowStart = rowEnd
      }
    }
  }
}

/** As JSON would have it: 64-bit integers as numbers where they fit, dates as text, absent values left out. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value as unknown[], plain)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, part]) => part !== undefined && part !== null)
  return Object.fromEntries(entries.map(([name, part]) => [name, plain(part)]))
}
