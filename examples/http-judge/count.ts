/**
 * A proxy before the judge's server that writes one line per call, so that it can be counted who was asked what:
 *
 *     npx jiti examples/http-judge/count.ts 8090 http://127.0.0.1:8091 calls.jsonl
 *
 * A line has `at` (ISO 8601) when the call came, `call` (a hash of its body), `status` (0 = no answer reached the
 * asker) and `milliseconds`. A server that is down is passed on as what it is: a broken connection.
 */
import { createHash } from 'node:crypto'
import { appendFileSync } from 'node:fs'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'

const [port, target, log] = process.argv.slice(2)
if (!port || !target || !log) throw new Error('usage: count.ts <port> <server> <log file>')

async function pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const started = Date.now()
  const body = await buffer(incoming)
  const call = createHash('sha256').update(body).digest('hex').slice(0, 16)
  let done = false
  const finish = (status: number): void => {
    if (done) return
    done = true
    if (incoming.method !== 'POST') return
    const line = { at: new Date(started).toISOString(), call, status, milliseconds: Date.now() - started }
    appendFileSync(log!, `${JSON.stringify(line)}\n`)
  }
  const upstream = request(new URL(incoming.url ?? '/', target), { method: incoming.method, headers: incoming.headers })
  const broken = (): void => {
    finish(0)
    outgoing.destroy()
  }
  upstream.on('error', broken)
  upstream.on('response', (reply) => {
    const status = reply.statusCode ?? 0
    outgoing.writeHead(status, reply.headers)
    reply.on('error', broken)
    reply.pipe(outgoing)
    outgoing.on('finish', () => finish(status))
  })
  // The asker went away.
  outgoing.on('close', () => {
    finish(0)
    upstream.destroy()
  })
  upstream.end(body)
}

createServer((incoming, outgoing) => {
  pass(incoming, outgoing).catch(() => outgoing.destroy())
}).listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port} -> ${target}, calls in ${log}`))
