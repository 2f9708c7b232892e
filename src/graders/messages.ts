/** The prompts of score_model and label_model: messages of templates, texts and images. */
import { AdjudgeError } from '../errors.js'
import { neutralise } from '../judge/fence.js'
import { askFor } from '../judge/prompt.js'
import type { Field, Question } from '../judge/question.js'
import type { ContentPart, JudgeMessage } from '../judge/types.js'
import { GraderFailure } from './failure.js'
import { Template, type TemplateScope } from './template.js'
import type { GraderSpec } from './types.js'

type ImageDetail = 'auto' | 'low' | 'high'

type PartTemplate = { text: Template } | { image: Template; detail?: ImageDetail }

export interface MessageTemplate {
  role: JudgeMessage['role']
  parts: PartTemplate[]
}

/** The grader's prompt for one sample, whose texts are made harmless, and what is asked for at its end. */
export function messagesFor(
  templates: MessageTemplate[],
  scope: TemplateScope,
  field: Field,
  reasoning: boolean
): Pick<Question, 'messages' | 'injected'> {
  let injected = false
  const guard = (text: string): string => {
    const output = neutralise(text)
    injected ||= output.injected
    return output.text
  }
  const messages = templates.map(({ role, parts }) => ({
    role,
    parts: parts.map((part) => partOf(part, scope, guard))
  }))
  messages.push({ role: 'user', parts: [{ type: 'text', text: askFor([field], reasoning) }] })
  // Two user turns in a row are one, for servers that insist on alternation.
  const merged: typeof messages = []
  for (const message of messages) {
    const last = merged.at(-1)
    if (last?.role === message.role) last.parts.push({ type: 'text', text: '\n\n' }, ...message.parts)
    else merged.push(message)
  }
  return { messages: merged.map(({ role, parts }) => ({ role, content: contentOf(parts) })), injected }
}

/** Texts that follow one another are one; without images a content is a plain text. */
function contentOf(parts: ContentPart[]): JudgeMessage['content'] {
  const joined: ContentPart[] = []
  for (const part of parts) {
    const last = joined.at(-1)
    if (part.type === 'text' && last?.type === 'text') last.text += part.text
    else joined.push({ ...part })
  }
  const [only] = joined
  if (joined.length === 1 && only?.type === 'text') return only.text
  return joined.filter((part) => part.type !== 'text' || part.text.trim() !== '')
}

function partOf(part: PartTemplate, scope: TemplateScope, guard: (text: string) => string): ContentPart {
  if ('text' in part) return { type: 'text', text: part.text.render(scope, guard) }
  const url = part.image.render(scope)
  // A file that an untrusted text names would be read and sent away.
  if (!/^(?:https?|data):/i.test(url)) {
    throw new GraderFailure(
      `the image address ${JSON.stringify(url.slice(0, 80))} cannot be used; expected https://… or data:…`,
      'function_error',
      'invalid_variable_error'
    )
  }
  return { type: 'image_url', image_url: { url, ...(part.detail ? { detail: part.detail } : {}) } }
}

/** Throws GRADER_INVALID, naming the message, on anything but roles with texts and images. */
export function messagesOf(spec: GraderSpec, where: string): MessageTemplate[] {
  if (!Array.isArray(spec.input) || spec.input.length === 0) {
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.input is ${JSON.stringify(spec.input) ?? 'missing'}; expected messages`
    )
  }
  return (spec.input as unknown[]).map((message, index) => {
    const place = `${where}.input[${index}]`
    const { role, content } = (message ?? {}) as { role?: unknown; content?: unknown }
    const known = role === 'developer' ? 'system' : role
    if (known !== 'system' && known !== 'user' && known !== 'assistant') {
      throw new AdjudgeError(
        'GRADER_INVALID',
        `${place}.role is ${JSON.stringify(role) ?? 'missing'}; expected system, developer, user or assistant`
      )
    }
    const parts = (Array.isArray(content) ? (content as unknown[]) : [content]).map((part) =>
      partTemplate(part, `${place}.content`)
    )
    return { role: known, parts }
  })
}

/** A text, a text part, or an image by its address. */
function partTemplate(part: unknown, place: string): PartTemplate {
  if (typeof part === 'string') return { text: Template.parse(part, place) }
  const { type, text, image_url: image, detail } = (part ?? {}) as Record<string, unknown>
  if ((type === 'input_text' || type === 'output_text' || type === 'text') && typeof text === 'string') {
    return { text: Template.parse(text, place) }
  }
  // `input_image` has the address itself, `image_url` (chat completions) has it in an object.
  const address = typeof image === 'string' ? image : (image as { url?: unknown } | null | undefined)?.url
  if ((type === 'input_image' || type === 'image_url') && typeof address === 'string' && isAddress(address)) {
    const given = detail ?? (typeof image === 'object' ? (image as { detail?: unknown }).detail : undefined)
    const known = (['auto', 'low', 'high'] as const).find((each) => each === given)
    return { image: Template.parse(address, place), ...(known ? { detail: known } : {}) }
  }
  const audio = type === 'input_audio' ? ' (audio is not taken)' : ''
  throw new AdjudgeError(
    'GRADER_INVALID',
    `${place} holds ${JSON.stringify(type) ?? 'no text'}${audio}; expected text, or an image by its address (https://… or data:…)`
  )
}

const isAddress = (text: string): boolean => /^(?:https?:|data:|\{\{)/i.test(text.trim())
