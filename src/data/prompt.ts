/** How an item becomes chat messages: by templates over `item.*`, or by its own `messages` or `prompt` field. */
import { AdjudgeError } from '../errors.js'
import { Template } from '../graders/template.js'
import { imagesOf, textOf } from '../judge/content.js'
import type { JudgeMessage } from '../judge/types.js'
import type { Message } from '../policy/types.js'

/** One user message, or several messages; each content is a template with `{{ item.<field> }}`. */
export type PromptTemplateSource = string | readonly Message[]

const roles = ['system', 'user', 'assistant', 'tool']

export class PromptTemplates {
  private constructor(private readonly parts: { role: Message['role']; content: Template }[]) {}

  /** Throws CONFIG_INVALID on a malformed template, or one that asks for anything but item.<field>. */
  static parse(source: PromptTemplateSource, where = 'data.prompt'): PromptTemplates {
    const messages = typeof source === 'string' ? [{ role: 'user' as const, content: source }] : source
    return new PromptTemplates(
      messages.map(({ role, content }) => {
        const sample = /\{\{\s*(sample\b[^}]*?)\s*\}\}/.exec(content)
        if (sample) {
          const message = `${where}: {{ ${sample[1]} }} cannot be used in a prompt; expected item.<field>`
          throw new AdjudgeError('CONFIG_INVALID', message)
        }
        try {
          return { role, content: Template.parse(content, where) }
        } catch (cause) {
          throw new AdjudgeError('CONFIG_INVALID', (cause as Error).message, { cause })
        }
      })
    )
  }

  /** Throws the template engine's MissingValue where the item lacks a field. */
  render(item: Record<string, unknown>): Message[] {
    return this.parts.map(({ role, content }) => ({ role, content: content.render({ item, sample: {} }) }))
  }
}

/** The item's own messages, if it has some. Throws a plain Error that says what was expected. */
export function ownMessages(item: Record<string, unknown>): Message[] {
  if (item.messages !== undefined && item.messages !== '') return checkMessages(item.messages)
  if (typeof item.prompt === 'string') return [{ role: 'user', content: item.prompt }]
  if (Array.isArray(item.prompt)) return checkMessages(item.prompt)
  const fields = Object.keys(item).join(', ') || 'none'
  throw new Error(
    `there is no messages and no prompt field (fields: ${fields}); expected one of them, or a prompt template in the configuration`
  )
}

/** `name` says in errors where they stand. Throws a plain Error that says what was expected. */
export const checkMessages = (given: unknown, name = 'messages'): Message[] =>
  readMessages(given, name, (content, place) => {
    if (typeof content === 'string') return content
    const parts = Array.isArray(content) ? partsOf(content, place) : undefined
    if (!parts) throw new Error(`${place} is no text; expected a text`)
    if (typeof parts === 'string' || imagesOf(parts).length === 0) return textOf(parts)
    throw new Error(`${place} holds an image, which only judges see; expected a text`)
  })

/** As `checkMessages`, with images. */
export const checkJudgeMessages = (given: unknown, name = 'messages'): JudgeMessage[] =>
  readMessages(given, name, partsOf)

/** A text, or parts of text and images (`{ type: 'text', text }`, `{ type: 'image_url', image_url: { url } }`). */
function partsOf(content: unknown, place: string): JudgeMessage['content'] {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw new Error(`${place} is no text; expected a text, or parts of text and images`)
  return content.map((part: unknown, index) => {
    const { type, text, image_url: image } = (part ?? {}) as { type?: unknown; text?: unknown; image_url?: unknown }
    if (type === 'text' && typeof text === 'string') return { type, text }
    const { url, detail } = (image ?? {}) as { url?: unknown; detail?: unknown }
    if (type === 'image_url' && typeof url === 'string') {
      const known = detail === 'auto' || detail === 'low' || detail === 'high'
      return { type, image_url: { url, ...(known ? { detail } : {}) } }
    }
    throw new Error(
      `${place}[${index}] is no part of a message; expected { type: text, text } or { type: image_url, image_url: { url } }`
    )
  })
}

function readMessages<Content>(
  given: unknown,
  name: string,
  read: (content: unknown, place: string) => Content
): { role: Message['role']; content: Content }[] {
  let value = given
  if (typeof given === 'string') {
    try {
      value = JSON.parse(given) as unknown
    } catch {
      throw new Error(`${name} is a text that is no JSON; expected a list of { role, content }`)
    }
  }
  if (!Array.isArray(value) || value.length === 0) {
    throw new Error(`${name} is not a list of { role, content } with at least one entry`)
  }
  return value.map((entry: unknown, index) => {
    const { role, content } = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>
    if (!roles.includes(role as string)) {
      throw new Error(
        `${name}[${index}].role is ${JSON.stringify(role) ?? 'missing'}; expected one of ${roles.join(', ')}`
      )
    }
    return { role: role as Message['role'], content: read(content, `${name}[${index}].content`) }
  })
}
