/** How an item becomes chat messages: by templates over `item.*`, or by its own `messages` or `prompt` field. */
import { AdjudgeError } from '../errors.js'
import { Template } from '../graders/template.js'
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
export function checkMessages(given: unknown, name = 'messages'): Message[] {
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
    const { role, content } = (typeof entry === 'object' && entry !== null ? entry : {}) as Partial<Message>
    if (!roles.includes(role as string)) {
      throw new Error(
        `${name}[${index}].role is ${JSON.stringify(role) ?? 'missing'}; expected one of ${roles.join(', ')}`
      )
    }
    if (typeof content !== 'string') throw new Error(`${name}[${index}].content is no text; expected a text`)
    return { role: role as Message['role'], content }
  })
}
