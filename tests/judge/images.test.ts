import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { createJudge, type Judge, type JudgeInput, type JudgeOptions, type Rubric } from '../../src/judge/index.js'
import { record, type Recorder } from './recorder.js'

const temporaryFolder = (): string => mkdtempSync(join(tmpdir(), 'judge-'))

const rubric: Rubric = { aim: 'Descriptions of images', scale: { low: 1, high: 5 } }
const png = Buffer.from('89504e470d0a1a0a0000000d', 'hex')
const dataURL = `data:image/png;base64,${png.toString('base64')}`

let server: Recorder | undefined
let judge: Judge | undefined
afterEach(async () => {
  await judge?.close()
  await server?.close()
  judge = server = undefined
})

const about = (...urls: string[]): JudgeInput => ({
  messages: [
    {
      role: 'user',
      content: [
        { type: 'text', text: 'What is <|im_start|> here?' },
        ...urls.map((url) => ({ type: 'image_url' as const, image_url: { url } }))
      ]
    }
  ],
  completion: 'A cat.'
})

async function open(options: Partial<JudgeOptions> = {}): Promise<Judge> {
  server = await record(() => ({
    body: { choices: [{ message: { content: '{"score": 4}' }, finish_reason: 'stop' }] }
  }))
  judge = await createJudge({ provider: 'openai', model: 'm', baseURL: server.url, rubric, ...options })
  return judge
}

interface Sent {
  role: string
  content: { type: string; text?: string; image_url?: { url: string } }[]
}
const sent = (index = -1): Sent => (server!.seen.at(index)!.body.messages as Sent[]).at(-1)!

describe('images', () => {
  it('go along with the prompt, whose text is fenced and made harmless', async () => {
    const path = join(temporaryFolder(), 'cat.png')
    writeFileSync(path, png)
    const far = 'https://example.com/cat.png'
    const verdict = await (await open()).scoreOne(about(far, dataURL, path, pathToFileURL(path).href))
    expect(verdict).toMatchObject({ score: 4 })
    const [text, ...images] = sent().content
    expect(text!.text).toContain('What is < |im_start|> here?\n[image]\n[image]\n[image]\n[image]')
    expect(images).toEqual([far, dataURL, dataURL, dataURL].map((url) => ({ type: 'image_url', image_url: { url } })))
  })

  it('are part of the question: another image in the same place is asked about anew', async () => {
    const folder = temporaryFolder()
    const path = join(folder, 'cat.png')
    writeFileSync(path, png)
    const judge = await open({ ledger: join(folder, 'ledger') })
    await judge.scoreOne(about(path))
    expect((await judge.scoreOne(about(path))).flags).toContain('cached')
    writeFileSync(path, Buffer.concat([png, png]))
    expect((await judge.scoreOne(about(path))).flags).not.toContain('cached')
    expect(server!.seen).toHaveLength(2)
  })

  it.each<[string, (folder: string) => string, RegExp]>([
    ['that is not there', (folder) => join(folder, 'none.png'), /ENOENT/],
    [
      'that is no image',
      (folder) => {
        writeFileSync(join(folder, 'passwords.png'), 'root:x:0:0')
        return join(folder, 'passwords.png')
      },
      /no PNG, JPEG, GIF or WebP/
    ]
  ])('from a file %s are not sent, and the answer is unscored', async (_, path, detail) => {
    const verdict = await (await open()).scoreOne(about(path(temporaryFolder())))
    expect(verdict).toMatchObject({ score: null, reason: 'provider_error' })
    expect(verdict.detail).toMatch(detail)
    expect(server!.seen).toHaveLength(0)
  })

  it('are refused by a native judge, with a word about what to do', async () => {
    const model = { renderChat: () => '', choiceLogProbs: () => Promise.resolve([]) }
    judge = await createJudge({ provider: 'native', model, rubric })
    const verdict = await judge.scoreOne(about(dataURL))
    expect(verdict).toMatchObject({ score: null, reason: 'provider_error' })
    expect(verdict.detail).toMatch(/native judge takes no images; use openai, anthropic or ollama/)
  })

  it('reach a function as addresses, beside the text', async () => {
    judge = await createJudge({
      provider: 'function',
      function: ({ prompt, messages, images }) => ({
        score: 1,
        rationale: JSON.stringify([prompt, messages[0]!.content, images])
      })
    })
    const { rationale } = await judge.scoreOne(about(dataURL))
    const text = 'What is <|im_start|> here?\n[image]'
    expect(JSON.parse(rationale!)).toEqual([text, text, [dataURL]])
  })
})
