/** Images of files become `data:` URLs before a provider's format is written. */
import { readFile } from 'node:fs/promises'
import { AdjudgeError } from '../../errors.js'
import { imagePath, imagesOf } from '../content.js'
import type { ContentPart, JudgeMessage } from '../types.js'

/** Larger images are refused by all providers. */
const largestImage = 20 * 1024 * 1024

export const hasImages = (messages: JudgeMessage[]): boolean =>
  messages.some(({ content }) => imagesOf(content).length > 0)

export function loadImages(messages: JudgeMessage[]): Promise<JudgeMessage[]> {
  return Promise.all(
    messages.map(async ({ role, content }) => ({
      role,
      content: typeof content === 'string' ? content : await Promise.all(content.map(loaded))
    }))
  )
}

async function loaded(part: ContentPart): Promise<ContentPart> {
  const path = part.type === 'text' ? undefined : imagePath(part.image_url.url)
  if (part.type === 'text' || path === undefined) return part
  const { url, detail } = part.image_url
  const bytes = await readFile(path)
  // By content, not by name: a row of a data set must not be able to send just any file out.
  const type = typeOf(bytes)
  if (!type || bytes.length > largestImage) {
    throw new AdjudgeError(
      'JUDGE_INVALID',
      `judge: image ${url} is ${type ? 'longer than 20 MiB' : 'no PNG, JPEG, GIF or WebP'}`
    )
  }
  return {
    type: 'image_url',
    image_url: { url: `data:${type};base64,${bytes.toString('base64')}`, ...(detail === undefined ? {} : { detail }) }
  }
}

function typeOf(bytes: Buffer): string | undefined {
  const head = bytes.toString('latin1', 0, 12)
  if (head.startsWith('\x89PNG\r\n')) return 'image/png'
  if (head.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (head.startsWith('GIF8')) return 'image/gif'
  return head.startsWith('RIFF') && head.endsWith('WEBP') ? 'image/webp' : undefined
}

/** The parts of a base64 `data:` URL; undefined for an address. Throws JUDGE_INVALID on another `data:` URL. */
export function dataOf(url: string): { type: string; data: string } | undefined {
  if (!/^data:/i.test(url)) return undefined
  const match = /^data:([\w.+-]+\/[\w.+-]+);base64,([A-Za-z0-9+/=]+)$/i.exec(url)
  if (!match) {
    throw new AdjudgeError('JUDGE_INVALID', "judge: an image's data: URL is not data:<type>;base64,<bytes>")
  }
  return { type: match[1], data: match[2] }
}
