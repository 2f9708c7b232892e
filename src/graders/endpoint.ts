/** endpoint: a server of the user's own scores (Azure's preview grader). POST {sample, item, trace_id} → {score}. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { AdjudgeError } from '../errors.js'
import { secretNamed } from '../judge/secrets.js'
import { HttpClient } from '../judge/transport/client.js'
import { graderOf, positiveField, textField } from './common.js'
import { GraderFailure } from './failure.js'
import { post } from './post.js'
import type { Grader, GraderSpec, MakerOptions } from './types.js'

/** Azure's bounds: bytes of a request, milliseconds for a reply, tries. */
const largest = 1024 * 1024
const timeLimit = 600_000
const tries = 3

/** Headers whose value is a secret by their name. */
const secretHeader = /^(proxy-)?authorization$|^cookie$|key|token|secret|password/i

/**
 * `url`; `headers`, whose secrets stand as `${NAME}` and are read from the environment or the secrets file; `rate_limit`
 * in requests per second; `timeout` (ours) in milliseconds for a try. After three tries the item is unscored.
 */
export function endpointGrader(spec: GraderSpec, where: string, options: MakerOptions): Grader {
  const secrets: string[] = []
  // A check does without the secrets.
  const fill = (text: string, place: string): string =>
    options.checkOnly ? text.replace(secretName, 'secret') : filled(text, place, secrets)
  const url = addressOf(fill(textField(spec, 'url', where), `${where}.url`), `${where}.url`)
  const headers = headersOf(spec, where, fill)
  const timeout = positiveField(spec, 'timeout', where) ?? timeLimit
  const rate = new Rate(positiveField(spec, 'rate_limit', where))
  const client = new HttpClient({
    baseURL: url.origin,
    headers,
    secrets,
    connections: options.judge?.concurrency ?? 8
  })
  return graderOf(
    spec,
    where,
    async ({ sample, item }, _, { signal }) => {
      const body = JSON.stringify({ sample, item, trace_id: randomUUID() })
      const size = Buffer.byteLength(body)
      if (size > largest) throw new GraderFailure(`the request has ${size} bytes; an endpoint takes at most ${largest}`)
      const { value, attempts } = await post(client, {
        path: url.pathname + url.search,
        body,
        attempts: tries,
        timeout,
        signal,
        error: 'unresponsive_reward_error',
        before: () => rate.wait(signal)
      })
      const score = (value as { score?: unknown } | null)?.score
      if (typeof score !== 'number' || !Number.isFinite(score)) {
        const shown = (JSON.stringify(value) ?? 'nothing').slice(0, 200)
        throw new GraderFailure(
          `the reply is ${shown}; expected {"score": a number}`,
          'unparseable',
          undefined,
          attempts
        )
      }
      return { score, attempts }
    },
    () => client.close()
  )
}

/** Requests start at least a fixed time apart. */
class Rate {
  private next = 0
  private readonly gap: number

  constructor(perSecond: number | undefined) {
    this.gap = perSecond === undefined ? 0 : 1000 / perSecond
  }

  async wait(signal: AbortSignal | undefined): Promise<void> {
    if (this.gap === 0) return
    const now = performance.now()
    const start = Math.max(now, this.next)
    this.next = start + this.gap
    if (start > now) await sleep(start - now, undefined, signal ? { signal } : {})
  }
}

function headersOf(
  spec: GraderSpec,
  where: string,
  fill: (text: string, place: string) => string
): Record<string, string> {
  const given = spec.headers ?? {}
  if (typeof given !== 'object' || Array.isArray(given)) {
    throw new AdjudgeError('GRADER_INVALID', `${where}.headers is no map; expected name: value`)
  }
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(given as Record<string, unknown>)) {
    const place = `${where}.headers.${name}`
    if (typeof value !== 'string') throw new AdjudgeError('GRADER_INVALID', `${place} is no text; put it in quotes`)
    if (secretHeader.test(name) && value.search(secretName) < 0) {
      throw new AdjudgeError(
        'GRADER_INVALID',
        `${place} holds a key, which would be kept with the run; expected \${NAME}, read from the environment or the ` +
          'secrets file, for example "Bearer ${REWARD_KEY}"'
      )
    }
    headers[name.toLowerCase()] = fill(value, place)
  }
  return headers
}

/** `${NAME}` is the secret of that name. */
const secretName = /\$\{(\w+)\}/g

function filled(text: string, place: string, secrets: string[]): string {
  return text.replace(secretName, (_, name: string) => {
    const value = secretNamed(name)
    if (value === undefined) {
      throw new AdjudgeError(
        'GRADER_INVALID',
        `${place}: ${name} is not set; set the environment variable, or add it to the secrets file`
      )
    }
    secrets.push(value)
    return value
  })
}

function addressOf(text: string, place: string): URL {
  let url: URL | undefined
  try {
    url = new URL(text)
  } catch {
    // Said below.
  }
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new AdjudgeError('GRADER_INVALID', `${place} is no address; expected http:// or https:// with a host`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new AdjudgeError('GRADER_INVALID', `${place} holds a user name or a password; give them by headers`)
  }
  return url
}
