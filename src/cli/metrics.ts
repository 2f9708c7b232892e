/** The judges' telemetry as Prometheus text: served on a port, or written to a file (node_exporter's textfile collector). */
import { createServer, type Server } from 'node:http'
import type { Command } from 'commander'
import { AdjudgeError } from '../errors.js'
import { telemetry } from '../judge/index.js'
import { writeAtomic } from '../train/files.js'
import { errorColors } from './colors.js'
import { wholeNumber } from './numbers.js'

export interface MetricsFlags {
  metricsPort?: number
  metricsFile?: string
}

const pause = 10_000

export const addMetricsOptions = (command: Command): Command =>
  command
    .option(
      '--metrics-port <n>',
      "serve the judges' counters at http://127.0.0.1:<n>/metrics; 0 takes a free port",
      wholeNumber
    )
    .option('--metrics-file <file>', 'write them there every 10 s and at the end, as Prometheus text')

export interface MetricsOutput {
  close(): Promise<void>
}

/** Throws ARGUMENT_INVALID where the port cannot be had, FILE_UNWRITABLE where the file cannot be written. */
export async function startMetrics({ metricsPort, metricsFile }: MetricsFlags): Promise<MetricsOutput> {
  const server = metricsPort === undefined ? undefined : await serve(metricsPort)
  const write = async (): Promise<void> => {
    if (metricsFile !== undefined) await writeAtomic(metricsFile, telemetry.prometheus())
  }
  try {
    await write()
  } catch (error) {
    server?.close()
    throw error
  }
  // A disk that is full for a while must not end the judging; the last writing tells.
  const timer = metricsFile === undefined ? undefined : setInterval(() => void write().catch(() => undefined), pause)
  return {
    close: async () => {
      clearInterval(timer)
      server?.closeAllConnections()
      server?.close()
      await write()
    }
  }
}

function serve(port: number): Promise<Server> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end('expected GET /metrics\n')
      return
    }
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
    response.end(telemetry.prometheus())
  })
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'another program has it' : cause.message
      reject(new AdjudgeError('ARGUMENT_INVALID', `--metrics-port ${port}: cannot be served (${why})`, { cause }))
    })
    server.listen(port, '127.0.0.1', () => {
      const { port: bound } = server.address() as { port: number }
      console.error(errorColors.dim(`metrics: http://127.0.0.1:${bound}/metrics`))
      resolve(server)
    })
  })
}
