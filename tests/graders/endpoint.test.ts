import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createGrader, validateGrader, type GraderSpec } from '../../src/graders/index.js'

interface Asked {
  path: string
  headers: IncomingHttpHeaders
  body: { sample: Record<string, unknown>; item: Record<string, unknown>; trace_id: string }
}

describe('endpoint', () => {
  let server: Server | undefined
  afterEach(() => {
    server?.closeAllConnections()
    server?.close()
    vi.unstubAllEnvs()
  })

  /** `undefined` leaves the request without an answer. */
  async function start(reply: (index: number) => [status: number, body: string] | undefined): Promise<{
    url: string
    asked: Asked[]
  }> {
    const asked: Asked[] = []
    server = createServer((request, response) => {
      let text = ''
      request.on('data', (chunk) => (text += String(chunk)))
      request.on('end', () => {
        const body = JSON.parse(text) as Asked['body']
        asked.push({ path: request.url!, headers: request.headers, body })
        const answer = reply(asked.length - 1)
        if (!answer) return
        response.writeHead(answer[0], { 'content-type': 'application/json', 'retry-after': '0' })
        response.end(answer[1])
      })
    })
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
  }

  const grade = async (spec: GraderSpec, completion = '{"a": 1}'): Promise<Record<string, unknown>> => {
    const grader = await createGrader(spec)
    const verdict = await grader.grade({ messages: [], completion, item: { label: 'x' } })
    await grader.close()
    return { ...verdict }
  }

  it('posts sample, item and trace_id with its headers, and takes the score', async () => {
    vi.stubEnv('REWARD_KEY', 'geheim')
    const { url, asked } = await start(() => [200, '{"score": 0.25, "more": 1}'])
    const spec = {
      type: 'endpoint',
      url: `${url}/grade?code=\${REWARD_KEY}`,
      headers: { Authorization: 'Bearer ${REWARD_KEY}', 'x-run': 'seven' },
      pass_threshold: 0.2
    }
    expect(await grade(spec)).toMatchObject({ score: 0.25, passed: true, attempts: 1 })
    const [{ path, headers, body }] = asked
    expect(path).toBe('/grade?code=geheim')
    expect(headers).toMatchObject({ authorization: 'Bearer geheim', 'x-run': 'seven' })
    expect(body).toMatchObject({
      sample: { output_text: '{"a": 1}', output_json: { a: 1 }, output_tools: [] },
      item: { label: 'x' },
      trace_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string
    })
  })

  it('tries three times with the same trace, then the item is unscored and the key is not told', async () => {
    vi.stubEnv('REWARD_KEY', 'geheim')
    const { url, asked } = await start(() => [500, '{"error": "no model for geheim"}'])
    const verdict = await grade({ type: 'endpoint', url, headers: { 'api-key': '${REWARD_KEY}' } })
    expect(verdict).toMatchObject({ score: null, reason: 'provider_error', attempts: 3 })
    expect(verdict.errors).toHaveProperty('unresponsive_reward_error')
    expect(JSON.stringify(verdict)).not.toContain('geheim')
    expect(new Set(asked.map(({ body }) => body.trace_id)).size).toBe(1)
    expect(asked.length).toBe(3)
  })

  it('goes on after failures and replies that are no JSON', async () => {
    const { url } = await start(
      (index) =>
        ([[503, ''] as const, [200, '<html>'] as const][index]?.slice() as [number, string]) ?? [200, '{"score": 0}']
    )
    expect(await grade({ type: 'endpoint', url })).toMatchObject({ score: 0, attempts: 3 })
  })

  it('gives up on one that does not answer in time', async () => {
    const { url } = await start((index) => (index < 2 ? undefined : [200, '{"score": 1}']))
    expect(await grade({ type: 'endpoint', url, timeout: 60 })).toMatchObject({ score: 1, attempts: 3 })
  })

  it.each(['{"score": "0.5"}', '{"score": null}', '{}', '[0.5]', '0.5'])('%s is no score', async (body) => {
    const { url, asked } = await start(() => [200, body])
    expect(await grade({ type: 'endpoint', url })).toMatchObject({ score: null, reason: 'unparseable' })
    expect(asked.length).toBe(1)
  })

  it('is not asked again where it refuses, and not at all with more than a megabyte', async () => {
    const { url, asked } = await start(() => [403, '{"message": "not you"}'])
    expect(await grade({ type: 'endpoint', url })).toMatchObject({
      score: null,
      detail: expect.stringContaining('not you') as string
    })
    const long = await grade({ type: 'endpoint', url }, 'x'.repeat(600_000))
    expect(long).toMatchObject({ score: null, detail: expect.stringContaining('at most 1048576') as string })
    expect(asked.length).toBe(1)
  })

  it('keeps to its rate, and stops waiting when it is cancelled', async () => {
    const { url, asked } = await start(() => [200, '{"score": 1}'])
    const grader = await createGrader({ type: 'endpoint', url, rate_limit: 20 })
    const started = performance.now()
    const input = { messages: [], completion: 'x' }
    const controller = new AbortController()
    const others = Array.from({ length: 3 }, () => grader.grade(input))
    const late = grader.grade(input, { signal: controller.signal })
    controller.abort()
    expect(await late).toMatchObject({ score: null, reason: 'cancelled' })
    await Promise.all(others)
    // The second and third start 50 ms after the one before; timers may be a little early.
    expect(performance.now() - started).toBeGreaterThan(95)
    expect(asked.length).toBe(3)
    await grader.close()
  })

  it.each([
    [{ url: undefined }, /url is missing/],
    [{ url: 'reward.example' }, /url is no address/],
    [{ url: 'https://me:pw@reward.example' }, /user name or a password/],
    [{ headers: { authorization: 'Bearer abc' } }, /headers.authorization holds a key/],
    [{ headers: { 'X-Api-Key': 'abc' } }, /holds a key/],
    [{ headers: { 'x-api-key': '${NO_SUCH_KEY_HERE}' } }, /NO_SUCH_KEY_HERE is not set/],
    [{ headers: ['x'] }, /headers is no map/],
    [{ rate_limit: 0 }, /rate_limit is 0/]
  ])('%j is refused', async (more, message) => {
    const spec = { type: 'endpoint', url: 'https://reward.example/x', ...more } as GraderSpec
    await expect(createGrader(spec)).rejects.toThrow(message)
  })

  it('is checked without its secrets', async () => {
    const spec = { type: 'endpoint', url: 'https://reward.example', headers: { authorization: '${NO_SUCH_KEY_HERE}' } }
    expect(await validateGrader(spec)).toEqual({ grader: spec })
  })
})
