/** Sizes as people write them, and how much memory there is. */
import { readFileSync } from 'node:fs'
import { freemem } from 'node:os'
import { join } from 'node:path'

const units: Record<string, number> = {
  '': 1,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40
}
/** Sizes as `training.memory` takes them: 4GiB, 4 GB, 512M, or bytes. */
export const sizePattern = '^\\s*\\d+(\\.\\d+)?\\s*([KMGT]i?)?B?\\s*$'

/** Bytes of a size that fits `sizePattern`. */
export function bytesOf(size: string | number): number {
  if (typeof size === 'number') return size
  const [, amount, unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?\s*$/.exec(size) ?? []
  return Math.floor(Number(amount) * units[unit]!)
}

export const sizeText = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.max(1, Math.round(bytes / 2 ** 20))} MiB`

/**
 * Bytes that this process may still take: what the system has (MemAvailable), or what is left of the limits of its
 * control groups where that is less. Page cache that can be dropped counts as free. `root` is where /proc and /sys are.
 */
export function availableMemory(root = '/'): number {
  const read = (path: string): string | undefined => {
    try {
      return readFileSync(join(root, path), 'utf8')
    } catch {
      return undefined
    }
  }
  const field = (text: string | undefined, name: string): number | undefined => {
    const value = new RegExp(`^${name}:?\\s+(\\d+)`, 'm').exec(text ?? '')?.[1]
    return value === undefined ? undefined : Number(value)
  }
  const kibibytes = field(read('proc/meminfo'), 'MemAvailable')
  let least = kibibytes === undefined ? freemem() : kibibytes * 1024
  const group = (name: string): string =>
    new RegExp(`^\\d+:${name}:(/.*)$`, 'm').exec(read('proc/self/cgroup') ?? '')?.[1] ?? '/'
  const consider = (folder: string, limitFile: string, usedFile: string, cached: string): void => {
    const limit = Number(read(join(folder, limitFile)) ?? NaN)
    if (!Number.isFinite(limit)) return
    const dropped = field(read(join(folder, 'memory.stat')), cached) ?? 0
    least = Math.min(least, Math.max(0, limit - Number(read(join(folder, usedFile)) ?? 0) + dropped))
  }
  for (const path of parents(group(''))) {
    consider(join('sys/fs/cgroup', path), 'memory.max', 'memory.current', 'inactive_file')
  }
  for (const path of parents(group('(?:[\\w,]+,)?memory(?:,[\\w,]+)?'))) {
    const folder = join('sys/fs/cgroup/memory', path)
    consider(folder, 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')
  }
  return least
}

/** A group and all above it: each may have a limit. */
function parents(path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '')
  return parts.reduceRight<string[]>((list, _, index) => [...list, parts.slice(0, index + 1).join('/')], []).concat('')
}
