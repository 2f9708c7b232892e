/** Runs the command line in this process and collects what it prints. */
import { vi } from 'vitest'
import { run } from '../../src/cli/program.js'

export interface Ran {
  code: number
  out: string
  err: string
}

export async function cli(...args: string[]): Promise<Ran> {
  const lines = { out: '', err: '' }
  const keep =
    (kind: 'out' | 'err') =>
    (...parts: unknown[]) => {
      lines[kind] += parts.map(String).join(' ') + '\n'
    }
  const write = (kind: 'out' | 'err') => (text: string | Uint8Array) => {
    lines[kind] += String(text)
    return true
  }
  const spies = [
    vi.spyOn(console, 'log').mockImplementation(keep('out')),
    vi.spyOn(console, 'error').mockImplementation(keep('err')),
    vi.spyOn(process.stdout, 'write').mockImplementation(write('out')),
    vi.spyOn(process.stderr, 'write').mockImplementation(write('err'))
  ]
  try {
    return { code: await run(args), ...lines }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}
