import { createServer, type Server } from 'node:http'
import {
  createServer as createSocketServer,
  type AddressInfo,
  type Server as SocketServer,
  type Socket
} from 'node:net'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { classify, type Failure } from '../../src/judge/retry.js'
import { HttpClient, type ClientOptions } from '../../src/judge/transport/client.js'
import { HttpError } from '../../src/judge/transport/errors.js'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function listen(server: Server | SocketServer): Promise<string> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A server that answers each request with these bytes, and then does what `then` says. */
const bytes = (answer: string | Buffer, then: (socket: Socket) => void = () => undefined): Promise<string> =>
  listen(
    createSocketServer((socket) => {
      let seen = ''
      socket.on('data', (chunk) => {
        seen += chunk.toString('latin1')
        if (!seen.includes('\r\n\r\n')) return
        seen = ''
        socket.write(answer, () => then(socket))
      })
    })
  )

function clientFor(baseURL: string, options: Partial<ClientOptions> = {}): HttpClient {
  const client = new HttpClient({ baseURL, ...options })
  closing.push(() => client.close())
  return client
}

const post = async (client: HttpClient, milliseconds = 2000) =>
  client.send({ path: '/x', body: '{"a":1}', signal: AbortSignal.timeout(milliseconds) })

async function failureOf(call: Promise<unknown>): Promise<Failure> {
  const error = await call.then(
    (reply) => Promise.reject(new Error(`no failure but ${JSON.stringify(reply)}`)),
    (error: unknown) => error
  )
  return classify(error, false, 1000)
}

const ok = (body: string, headers = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`

describe('bytes', () => {
  it('go there and back, over one connection kept alive', async () => {
    let connections = 0
    const seen: string[] = []
    const server = createServer((request, response) => {
      request.on('data', (chunk: Buffer) => seen.push(`${request.method} ${request.url} ${chunk.toString()}`))
      request.on('end', () => response.end('{"grüße":"☃"}'))
    }).on('connection', () => connections++)
    const client = clientFor(`${await listen(server)}/v1/`, { connections: 1 })
    for (let i = 0; i < 5; i++) {
      expect(JSON.parse((await client.send({ path: '/x?y=1', body: '{"ö":1}' })).text)).toEqual({ grüße: '☃' })
    }
    expect(seen).toEqual(Array.from({ length: 5 }, () => 'POST /v1/x?y=1 {"ö":1}'))
    expect(connections).toBe(1)
  })

  it('are put together when they come in pieces, within a character too', async () => {
    const body = Buffer.from('{"text":"☃☃☃"}')
    const head = Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n`)
    const url = await bytes(Buffer.concat([head, body.subarray(0, 11)]), (socket) => {
      setTimeout(() => socket.write(body.subarray(11)), 20)
    })
    expect((await post(clientFor(url))).text).toBe('{"text":"☃☃☃"}')
  })

  it.each([
    ['gzip', gzipSync('{"packed":true}')],
    ['br', brotliCompressSync('{"packed":true}')]
  ])('are unpacked from %s', async (encoding, packed) => {
    const head = `HTTP/1.1 200 OK\r\ncontent-encoding: ${encoding}\r\ncontent-length: ${packed.length}\r\n\r\n`
    const url = await bytes(Buffer.concat([Buffer.from(head), packed]))
    expect((await post(clientFor(url))).text).toBe('{"packed":true}')
  })

  it('are not asked to come packed from this very machine', async () => {
    let encoding: string | undefined = 'none seen'
    const url = await listen(
      createServer((request, response) => {
        encoding = request.headers['accept-encoding'] as string | undefined
        response.end('{}')
      })
    )
    await clientFor(url).send({ path: '/' })
    expect(encoding).toBeUndefined()
  })

  it('of information before the answer are passed over', async () => {
    const url = await bytes(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${ok('{"late":1}')}`)
    expect(await post(clientFor(url))).toMatchObject({ status: 200, text: '{"late":1}' })
  })
})

describe('a reply that fails on its way is worth another try', () => {
  const cases: [string, string | Buffer, (socket: Socket) => void][] = [
    ['a connection reset before the headers', '', (socket) => socket.resetAndDestroy()],
    ['a connection closed within the headers', 'HTTP/1.1 200 OK\r\ncontent-', (socket) => socket.end()],
    ['a reset within the body', 'HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"id":', (s) => s.resetAndDestroy()],
    ['a body shorter than its length', 'HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{"id":', (s) => s.end()],
    [
      'a chunked body without its end',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\n{"id":\r\n',
      (s) => s.end()
    ],
    ['broken chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{"id":\r\n', () => undefined],
    ['what is no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', () => undefined],
    ['broken gzip', 'HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd', () => undefined],
    [
      'an unknown encoding',
      'HTTP/1.1 200 OK\r\ncontent-encoding: zip\r\ncontent-length: 4\r\n\r\nabcd',
      () => undefined
    ]
  ]
  it.each(cases)('%s', async (_, answer, then) => {
    const failure = await failureOf(post(clientFor(await bytes(answer, then))))
    expect(failure.kind).toMatch(/retry|connection/)
    expect(failure.reason).toBe('provider_error')
  })

  it('too long a body, packed or not, which is not gathered', async () => {
    const long = gzipSync(Buffer.alloc(33 * 1024 * 1024, 32))
    const head = `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${long.length}\r\n\r\n`
    const packed = await bytes(Buffer.concat([Buffer.from(head), long]))
    expect(await failureOf(post(clientFor(packed)))).toMatchObject({ kind: 'retry', detail: /longer than 33554432/ })
    let sent = 0
    const endless = await bytes('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', (socket) => {
      const piece = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(0x100000, 32), Buffer.from('\r\n')])
      const more = (): void => {
        if (socket.destroyed) return
        sent++
        if (socket.write(piece)) setImmediate(more)
        else socket.once('drain', more)
      }
      more()
    })
    const failure = await failureOf(post(clientFor(endless), 20_000))
    expect(failure).toMatchObject({ kind: 'retry' })
    expect(failure.detail).toMatch(/longer than/)
    expect(sent).toBeLessThan(60)
  })

  it('nothing listens', async () => {
    const url = await bytes('')
    await closing.pop()!()
    expect(await failureOf(post(clientFor(url)))).toMatchObject({ kind: 'connection', detail: /ECONNREFUSED/ })
  })
})

describe('a call ends with its signal', () => {
  it.each<[string, string, (socket: Socket) => void]>([
    ['when the server says nothing', '', () => undefined],
    [
      'when the body drips',
      'HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n',
      (socket) => {
        const timer = setInterval(() => socket.write(' '), 20)
        socket.on('close', () => clearInterval(timer))
      }
    ]
  ])('%s', async (_, answer, then) => {
    const client = clientFor(await bytes(answer, then))
    const started = performance.now()
    await expect(post(client, 150)).rejects.toThrow(/timeout/)
    expect(performance.now() - started).toBeLessThan(1000)
  })

  it('before it was sent', async () => {
    const client = clientFor(await bytes(ok('{}')))
    await expect(client.send({ path: '/', signal: AbortSignal.abort(new Error('no more')) })).rejects.toThrow('no more')
  })

  it('and gives its connection up, but not those of others', async () => {
    let aborted = 0
    const url = await listen(
      createServer((request, response) => {
        request.resume()
        response.on('close', () => (response.writableEnded ? 0 : aborted++))
        if (request.url === '/quick') setTimeout(() => response.end('{}'), 100)
      })
    )
    const client = clientFor(url)
    const quick = client.send({ path: '/quick' })
    await expect(client.send({ path: '/hang', signal: AbortSignal.timeout(50) })).rejects.toThrow()
    expect((await quick).text).toBe('{}')
    expect(aborted).toBe(1)
  })

  it('or with the client', async () => {
    const client = clientFor(await bytes(''))
    const call = post(client)
    call.catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 30))
    await client.close()
    await expect(call).rejects.toThrow()
  })
})

describe('an error reply', () => {
  const answer = async (status: number, body: string, headers = ''): Promise<HttpError> => {
    const url = await bytes(
      `HTTP/1.1 ${status} X\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`
    )
    return post(clientFor(url, { secrets: ['sk-very-secret'] })).then(
      () => Promise.reject(new Error('no error')),
      (error: unknown) => error as HttpError
    )
  }

  it.each([
    [
      'OpenAI',
      '{"error":{"message":"Slow down","type":"requests","code":"rate_limit_exceeded"}}',
      '429 Slow down (rate_limit_exceeded)'
    ],
    ['Anthropic', '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', '429 Overloaded'],
    ['Ollama', '{"error":"model not found"}', '429 model not found'],
    ['Gemini', '[{"error":{"code":429,"message":"Quota","status":"X"}}]', '429 Quota'],
    ['FastAPI', '{"detail":[{"loc":["body"],"msg":"wrong"}]}', '429 [{"loc":["body"],"msg":"wrong"}]'],
    ['Mistral', '{"object":"error","message":"Bad","type":"x"}', '429 Bad'],
    ['a proxy', '<html><h1>Bad  gateway</h1></html>', '429 Bad gateway'],
    ['nobody', '', '429 no error text']
  ])('in the form of %s says what is wrong', async (_, body, message) => {
    const error = await answer(429, body, 'retry-after: 7\r\n')
    expect(error).toBeInstanceOf(HttpError)
    expect(error.message).toBe(message)
    expect(classify(error, false, 1)).toMatchObject({ kind: 'retry', reason: 'rate_limited', retryAfter: 7000 })
  })

  it('never repeats the key', async () => {
    const body = JSON.stringify({ error: { message: 'Incorrect key sk-very-secret', code: 'sk-very-secret' } })
    const error = await answer(401, body, 'x-echo: sk-very-secret\r\n')
    expect(`${error.message} ${error.body} ${error.code} ${error.headers.get('X-Echo')}`).not.toContain('secret')
    expect(error.message).toBe('401 Incorrect key [key]')
  })

  it('of a redirect names the place and does not go there', async () => {
    const error = await answer(302, '', 'location: https://elsewhere.example/\r\n')
    expect(error.message).toMatch(/302 .*not followed.*https:\/\/elsewhere\.example/)
    expect(classify(error, false, 1).kind).toBe('fatal')
  })
})

it.each([
  ['ftp://host', /expected http:\/\/ or https:\/\//],
  ['host:8000', /expected http:\/\/ or https:\/\//],
  ['http://user:pass@host/v1', /host holds a user name, a password/],
  ['http://host/v1?key=abc', /a query/]
])('refuses the address %s without repeating what is in it', (baseURL, message) => {
  expect(() => new HttpClient({ baseURL })).toThrow(message)
  expect(() => new HttpClient({ baseURL })).not.toThrow(/pass@|abc/)
})

describe('a proxy', () => {
  const names = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'no_proxy', 'NO_PROXY']
  const before = Object.fromEntries(names.map((name) => [name, process.env[name]]))
  beforeEach(() => {
    for (const name of names) delete process.env[name]
  })
  afterEach(() => {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  })

  it('of the environment is used, but not for this machine', async () => {
    const asked: string[] = []
    process.env.HTTP_PROXY = await listen(
      createServer((request, response) => {
        asked.push(`${request.method} ${request.url}`)
        request.resume().on('end', () => response.end('{"by":"proxy"}'))
      }).on('connect', (request, socket: Socket) => {
        asked.push(`CONNECT ${request.url}`)
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.once('data', () => socket.end(ok('{"by":"proxy"}', 'connection: close\r\n')))
      })
    )
    expect((await post(clientFor('http://judge.invalid/v1'))).text).toBe('{"by":"proxy"}')
    expect(asked.join()).toContain('judge.invalid')
    const direct = clientFor(await bytes(ok('{"by":"server"}')))
    expect((await post(direct)).text).toBe('{"by":"server"}')
    expect(asked).toHaveLength(1)
  })
})
