/** Servers with the shape of OpenAI's and Anthropic's batch interfaces, which do what such servers do at their worst. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Line {
  custom_id: string
  body: { messages: { role: string; content: string }[] } & Record<string, unknown>
}

/** What becomes of a request: a reply's text, a status, nothing at all, or expiry. */
export type Fate = { content: string } | { status: number } | 'missing' | 'expired'

export interface BatchServer {
  url: string
  /** Requests as submitted, batch by batch. */
  batches: Line[][]
  /** Requests that came the direct way. */
  direct: number
  downloads: number
  /** How many looks at a batch it takes until it has ended; changes while the server runs. */
  looks: number
  /** The next so many submissions are carried out, but their answers are lost. */
  lose: number
  /** The next so many downloads break off in the middle. */
  cut: number
  close(): Promise<void>
}

export async function startBatchServer(
  fate: (line: Line, batch: number) => Fate,
  direct: (body: Line['body']) => string
): Promise<BatchServer> {
  const files: string[] = []
  const records: { id: string; lines: Line[]; looks: number; metadata?: unknown }[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const url = request.url!
      const send = (value: unknown, status = 200): void => {
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(typeof value === 'string' ? value : JSON.stringify(value))
      }
      const download = (lines: string[]): void => {
        state.downloads++
        // Unordered, and every third line twice.
        const out = [...lines.filter((_, index) => index % 3 === 0), ...lines.toReversed()].map((line) => `${line}\n`)
        const whole = out.join('')
        response.writeHead(200, { 'content-type': 'application/x-ndjson', 'content-length': Buffer.byteLength(whole) })
        if (state.cut-- > 0) {
          response.write(whole.slice(0, whole.length / 2))
          setTimeout(() => request.socket.destroy(), 20)
        } else response.end(whole)
      }
      const add = (lines: Line[], metadata?: unknown): string | undefined => {
        const id = `batch_${records.length + 1}`
        records.push({ id, lines, looks: 0, metadata })
        state.batches.push(lines)
        if (state.lose-- <= 0) return id
        request.socket.destroy()
        return undefined
      }
      const completion = (content: string): object => ({
        choices: [{ message: { role: 'assistant', content }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 100, completion_tokens: 10 }
      })
      const message = (content: string): object => ({
        content: [{ type: 'text', text: content }],
        stop_reason: 'end_turn',
        usage: { input_tokens: 100, output_tokens: 10 }
      })
      const at = /batches\/(batch_\d+)/.exec(url)
      const record = at && records.find(({ id }) => id === at[1])
      const fates = (index: number): [Line, Fate][] =>
        records[index]!.lines.map((line) => [line, fate(line, index)] as [Line, Fate]).filter(
          ([, one]) => one !== 'missing'
        )

      if (url === '/v1/files') {
        const body = /filename="requests\.jsonl"\r\n[^\r]*\r\n\r\n([\s\S]*)\r\n--adjudge/.exec(text)![1]!
        files.push(body)
        return send({ id: `file_${files.length}`, purpose: /name="purpose"\r\n\r\n(\w+)/.exec(text)![1] })
      }
      if (url === '/v1/batches' && request.method === 'POST') {
        const { input_file_id: file, metadata } = JSON.parse(text) as { input_file_id: string; metadata: unknown }
        const lines = files[Number(file.slice(5)) - 1]!.trim().split('\n')
        const id = add(
          lines.map((line) => JSON.parse(line) as Line),
          metadata
        )
        return id === undefined ? undefined : send({ id, status: 'validating' })
      }
      if (url.startsWith('/v1/batches?')) {
        return send({ data: records.map(({ id, metadata }) => ({ id, metadata })) })
      }
      if (url === '/v1/messages/batches' && request.method === 'POST') {
        const { requests } = JSON.parse(text) as { requests: { custom_id: string; params: Line['body'] }[] }
        const id = add(requests.map(({ custom_id, params }) => ({ custom_id, body: params })))
        return id === undefined ? undefined : send({ id, processing_status: 'in_progress' })
      }
      if (url.endsWith('/results')) {
        return download(
          fates(records.indexOf(record!)).map(([{ custom_id }, one]) => {
            const result =
              one === 'expired'
                ? { type: 'expired' }
                : 'content' in (one as object)
                  ? { type: 'succeeded', message: message((one as { content: string }).content) }
                  : { type: 'errored', error: { type: 'error', error: { type: 'api_error', message: 'Went wrong' } } }
            return JSON.stringify({ custom_id, result })
          })
        )
      }
      if (url.endsWith('/content')) {
        const [, which, number] = /files\/(out|bad)_(\d+)\/content/.exec(url)!
        return download(
          fates(Number(number) - 1)
            .filter(([, one]) => (which === 'out') === (one !== 'expired'))
            .map(([{ custom_id }, one]) =>
              JSON.stringify(
                one === 'expired'
                  ? { custom_id, response: null, error: { code: 'batch_expired', message: 'expired' } }
                  : 'content' in (one as object)
                    ? {
                        custom_id,
                        response: { status_code: 200, body: completion((one as { content: string }).content) }
                      }
                    : { custom_id, response: { status_code: 500, body: { error: { message: 'Went wrong' } } } }
              )
            )
        )
      }
      if (record) {
        const ended = ++record.looks >= state.looks
        const number = record.id.slice(6)
        return send({
          id: record.id,
          status: ended ? 'completed' : 'in_progress',
          processing_status: ended ? 'ended' : 'in_progress',
          ...(ended ? { output_file_id: `out_${number}`, error_file_id: `bad_${number}` } : {})
        })
      }
      if (at) return send({ error: { message: 'no such batch' } }, 404)
      state.direct++
      const content = direct(JSON.parse(text) as Line['body'])
      send(url === '/v1/messages' ? message(content) : completion(content))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const state: BatchServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    batches: [],
    direct: 0,
    downloads: 0,
    looks: 2,
    lose: 0,
    cut: 0,
    close: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    }
  }
  return state
}
