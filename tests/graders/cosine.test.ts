import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createGrader, openaiEmbedder, type Embedder, type GraderSpec } from '../../src/graders/index.js'

interface Asked {
  model: string
  input: string[]
  encoding_format: string
}

const spec: GraderSpec = {
  type: 'text_similarity',
  input: '{{ sample.output_text }}',
  reference: '{{ item.r }}',
  evaluation_metric: 'cosine'
}

/** A vector that tells how often a, b and c stand in the text. */
const vectorOf = (text: string): number[] => ['a', 'b', 'c'].map((letter) => text.split(letter).length - 1)

const expected = (a: number[], b: number[]): number =>
  a.reduce((sum, value, index) => sum + value * b[index], 0) / (Math.hypot(...a) * Math.hypot(...b))

describe('cosine', () => {
  let server: Server | undefined
  afterEach(() => void server?.close())

  async function start(reply: (asked: Asked, index: number) => [status: number, body: unknown]): Promise<{
    url: string
    asked: Asked[]
  }> {
    const asked: Asked[] = []
    server = createServer((request, response) => {
      let text = ''
      request.on('data', (chunk) => (text += String(chunk)))
      request.on('end', () => {
        asked.push(JSON.parse(text) as Asked)
        const [status, body] = reply(asked.at(-1)!, asked.length - 1)
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(JSON.stringify(body))
      })
    })
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve))
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked }
  }

  const embeddings = ({ input }: Asked, encode: (vector: number[]) => unknown): unknown => ({
    // Out of order, as a server may answer.
    data: input.map((text, index) => ({ index, embedding: encode(vectorOf(text)) })).reverse()
  })

  it.each([
    ['base64', (vector: number[]) => Buffer.from(Float32Array.from(vector).buffer).toString('base64')],
    ['numbers', (vector: number[]) => vector]
  ])('compares the embeddings of a server that answers in %s, each text once, in one request', async (_, encode) => {
    const { url, asked } = await start((body, index) =>
      index === 0 ? [503, { error: { message: 'starting' } }] : [200, embeddings(body, encode)]
    )
    const grader = await createGrader({ ...spec, embedding_model: 'small' }, { judge: { baseURL: url } })
    const texts = ['aab', 'abc', 'ccc']
    const verdicts = await Promise.all(
      texts.map((completion) => grader.grade({ messages: [], completion, item: { r: 'abb' } }))
    )
    verdicts.forEach(({ score }, index) => {
      expect(score).toBeCloseTo(expected(vectorOf(texts[index]), vectorOf('abb')), 6)
    })
    expect(asked.map(({ model, input }) => [model, input.length])).toEqual([
      ['small', 4],
      ['small', 4]
    ])
    await grader.close()
  })

  it.each([
    [401, { error: { message: 'no such key' } }, 'provider_error', /no such key/],
    [200, { data: [] }, 'unparseable', /expected 2 of them/],
    [200, { data: [{ embedding: [1, 2] }, { embedding: [1] }] }, 'unparseable', /number 1 has 1 values/],
    [200, { data: [{ embedding: [1] }, { embedding: ['x'] }] }, 'unparseable', /no number/]
  ])('%d %j is unscored', async (status, body, reason, detail) => {
    const { url } = await start(() => [status, body])
    const grader = await createGrader(spec, { judge: { baseURL: url } })
    const verdict = await grader.grade({ messages: [], completion: 'a', item: { r: 'b' } })
    expect(verdict).toMatchObject({ score: null, reason, detail: expect.stringMatching(detail) as string })
    expect(verdict.errors).toHaveProperty('model_grader_server_error')
    await grader.close()
  })

  it('takes an embedder of any kind, and leaves it open', async () => {
    let closed = false
    const embedder: Embedder = {
      name: 'letters',
      embed: (texts) => Promise.resolve(texts.map((text) => Float32Array.from(vectorOf(text)))),
      close: () => {
        closed = true
        return Promise.resolve()
      }
    }
    const grader = await createGrader(spec, { embedder })
    const grade = async (completion: string): Promise<number | null> =>
      (await grader.grade({ messages: [], completion, item: { r: 'ab' } })).score
    expect(await grade('ab')).toBeCloseTo(1, 6)
    expect(await grade('c')).toBe(0)
    expect(await grade('')).toBeNull()
    await grader.close()
    expect(closed).toBe(false)
  })

  it('embeds many texts in several requests, in their order', async () => {
    const { url, asked } = await start((body) => [200, embeddings(body, (vector) => vector)])
    const embedder = openaiEmbedder({ model: 'small', baseURL: url })
    const texts = Array.from({ length: 600 }, (_, index) => 'a'.repeat(index % 7) + 'b')
    const vectors = await embedder.embed(texts)
    expect(vectors.map((vector) => Array.from(vector))).toEqual(texts.map(vectorOf))
    expect(asked.length).toBe(3)
    await embedder.close()
  })
})
