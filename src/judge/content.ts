/** Message content that is text, or text with images. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { AdjudgeError } from '../errors.js'
import type { Message } from '../policy/types.js'
import type { ContentPart, JudgeMessage } from './types.js'

export type ImagePart = Extract<ContentPart, { type: 'image_url' }>

/** The text alone; an image leaves a mark where it stood. */
export function textOf(content: JudgeMessage['content']): string {
  if (typeof content === 'string') return content
  return content.map((part) => (part.type === 'text' ? part.text : '[image]')).join('\n')
}

export const imagesOf = (content: JudgeMessage['content']): ImagePart[] =>
  typeof content === 'string' ? [] : content.filter((part): part is ImagePart => part.type === 'image_url')

/**
 * The images, each file with a hash of its content: an image that was changed in its place is another question. One that
 * cannot be read stays as it is, and the call says so.
 */
export function stampedImages(content: JudgeMessage['content']): ImagePart[] {
  return imagesOf(content).map((part) => {
    const path = imagePath(part.image_url.url)
    if (path === undefined) return part
    try {
      const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex')
      return { type: 'image_url', image_url: { ...part.image_url, sha256 } }
    } catch {
      return part
    }
  })
}

/** The file that an image's address names; undefined for `https:` and `data:`. */
export const imagePath = (url: string): string | undefined =>
  /^(https?|data):/i.test(url) ? undefined : url.startsWith('file:') ? fileURLToPath(url) : url

/** For judges that read text only. Throws JUDGE_INVALID where there is an image. */
export function plainMessages(messages: JudgeMessage[], judge: string): Message[] {
  return messages.map(({ role, content }) => {
    if (imagesOf(content).length > 0) {
      throw new AdjudgeError(
        'JUDGE_INVALID',
        `judge: ${judge} takes no images; use openai, anthropic or ollama with a model that sees, or leave the images out`
      )
    }
    return { role, content: textOf(content) }
  })
}
