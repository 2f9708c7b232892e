/** A loopback server that records what it is asked and answers as it is told. */
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Recorded {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: Record<string, unknown>
}

export interface Told {
  status?: number
  headers?: Record<string, string>
  /** Sent as JSON; a text as it is. */
  body: unknown
}

export interface Recorder {
  url: string
  seen: Recorded[]
  close(): Promise<void>
}

export async function record(answer: (request: Recorded, index: number) => Told): Promise<Recorder> {
  const seen: Recorded[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const recorded: Recorded = {
        method: request.method!,
        path: request.url!,
        headers: request.headers,
        body: JSON.parse(text || '{}') as Record<string, unknown>
      }
      seen.push(recorded)
      const { status = 200, headers = {}, body } = answer(recorded, seen.length - 1)
      response.writeHead(status, { 'content-type': 'application/json', ...headers })
      response.end(typeof body === 'string' ? body : JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }
}
