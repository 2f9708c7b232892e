import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A process that takes places of a common key as fast as it may. Gives the times of its calls, in ms of the machine. */
export function runShared(
  folder: string,
  { requests, tokens, seconds }: { requests: number; tokens: number; seconds: number }
): Promise<number[]> {
  const script = fileURLToPath(new URL('./sharingProcess.ts', import.meta.url))
  const typescript = new URL('../typescript.mjs', import.meta.url).href
  const values = [requests, tokens, seconds * 1000].map(String)
  const child = spawn(process.execPath, ['--import', typescript, script, folder, ...values], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => resolve(text.split('\n').filter(Boolean).map(Number)))
  })
}
