/** What goes wrong between us and a server, in the shape that retry.ts tells apart: status, headers, code. */
import type { ReplyHeaders } from './headers.js'

/** The connection worked, the reply cannot be used: worth another try. */
export class TransportError extends Error {
  override readonly name = 'TransportError'
  constructor(
    readonly code: 'REPLY_TOO_LARGE' | 'REPLY_UNREADABLE',
    message: string,
    options?: { cause?: unknown }
  ) {
    super(message, options)
  }
}

/** A server's answer that is an error, with what its body says. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  /** The error's type and code as the server names them. */
  readonly type: string | undefined
  readonly code: string | undefined

  constructor(
    readonly status: number,
    readonly headers: ReplyHeaders,
    /** The body as text, cut after 4,000 characters. */
    readonly body: string
  ) {
    const { message, type, code } = explain(body)
    const location = status >= 300 && status < 400 ? headers.get('location') : null
    const moved = location === null ? '' : ` (redirects are not followed; the server points to ${location})`
    super(
      `${status} ${message}${code !== undefined && code !== String(status) && !message.includes(code) ? ` (${code})` : ''}${moved}`
    )
    this.type = type
    this.code = code
  }
}

/** The cut body of an error; a page of HTML may be long. */
export const excerpt = (text: string): string => text.slice(0, 4000)

interface Explained {
  message: string
  type?: string
  code?: string
}

/**
 * Error bodies in use: `{error: {message, type, code}}` (OpenAI, Anthropic), `[{error: …}]` (Gemini), `{error: text}`
 * (Ollama), `{detail}` (FastAPI), `{message}` (Mistral), plain text, a proxy's page.
 */
function explain(body: string): Explained {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    const text = body
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim()
    return { message: text.slice(0, 200) || 'no error text' }
  }
  return explainValue(value)
}

export function explainValue(value: unknown): Explained {
  if (typeof value === 'string') return { message: value || 'no error text' }
  if (Array.isArray(value)) return explainValue(value[0])
  if (typeof value !== 'object' || value === null) return { message: 'no error text' }
  const { error, message, detail, type, code } = value as Record<string, unknown>
  if (error !== undefined && error !== null) return explainValue(error)
  const said = message ?? detail
  return {
    message: typeof said === 'string' ? said : JSON.stringify(said ?? value).slice(0, 300),
    ...(typeof type === 'string' ? { type } : {}),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: String(code) } : {})
  }
}
