/** Judges that are a JavaScript or TypeScript function, and how such a function is loaded from a file. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { AdjudgeError } from '../errors.js'
import type { Message } from '../policy/types.js'
import { imagesOf, textOf } from './content.js'
import { messageOf } from './retry.js'
import type { JudgeInput, UnscoredReason, Verdict } from './types.js'

/** What a function gets: the last user message, all messages as text, the answer, the data set's other fields. */
export interface FunctionInput {
  prompt: string
  messages: Message[]
  /** Addresses of the images that the messages hold, in their order; `[image]` marks each in the text. */
  images?: string[]
  completion: { text: string }
  item: Record<string, unknown>
  reference?: string
  group?: { id: string; index: number; size: number }
}

/** A number, null (unscored), or an object with `score` and whatever else of a verdict it knows. */
export type FunctionOutput =
  number | null | { score: number | null; rationale?: string; criteria?: Record<string, number | null> }

export type JudgeFunction = (input: FunctionInput) => FunctionOutput | Promise<FunctionOutput>

/** Milliseconds that an asynchronous function may take. */
const defaultTimeout = 60_000

/** Loads a module's default export. Throws FUNCTION_INVALID where it is absent, broken, or no function. */
export async function loadFunction(path: string, folder = process.cwd()): Promise<JudgeFunction> {
  const file = resolve(folder, path)
  if (!existsSync(file))
    throw new AdjudgeError('FUNCTION_INVALID', `function ${path}: no such file (looked in ${folder})`)
  let exported: unknown
  try {
    if (/\.[cm]?ts$/.test(file)) {
      const { createJiti } = await import('jiti')
      exported = await createJiti(import.meta.url, { nativeModules: ['adjudge', 'lmdb'] }).import(file, {
        default: true
      })
    } else exported = ((await import(pathToFileURL(file).href)) as { default?: unknown }).default
  } catch (cause) {
    throw new AdjudgeError('FUNCTION_INVALID', `function ${path}: cannot be loaded (${messageOf(cause)})`, { cause })
  }
  if (typeof exported !== 'function') {
    throw new AdjudgeError(
      'FUNCTION_INVALID',
      `function ${path}: its default export is ${exported === undefined ? 'missing' : `a ${typeof exported}`}; ` +
        'expected `export default ({ prompt, completion, item }) => number`'
    )
  }
  return exported as JudgeFunction
}

/** Runs a function on one input; what it throws or returns wrongly is an unscored verdict, never a 0. */
export async function runFunction(
  judge: JudgeFunction,
  input: JudgeInput,
  options: { timeout?: number; signal?: AbortSignal } = {}
): Promise<Verdict> {
  const started = performance.now()
  const verdict = (part: Pick<Verdict, 'score'> & Partial<Verdict>): Verdict => ({
    ...(input.id === undefined ? {} : { id: input.id }),
    usage: { inputTokens: 0, outputTokens: 0 },
    cost: 0,
    latency: Math.round(performance.now() - started),
    attempts: 1,
    flags: [],
    ...part
  })
  const failed = (detail: string): Verdict => verdict({ score: null, reason: 'function_error', detail })
  const timeout = options.timeout ?? defaultTimeout
  const limit = AbortSignal.timeout(timeout)
  const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit
  if (options.signal?.aborted) return verdict({ score: null, reason: 'cancelled', detail: 'the run was cancelled' })
  let stop: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new Error('stopped'))
    signal.addEventListener('abort', stop, { once: true })
  })
  aborted.catch(() => undefined)
  const images = input.messages.flatMap(({ content }) => imagesOf(content).map(({ image_url: { url } }) => url))
  try {
    const call = judge({
      prompt: textOf(input.messages.findLast((message) => message.role === 'user')?.content ?? ''),
      messages: input.messages.map(({ role, content }) => ({ role, content: textOf(content) })),
      ...(images.length > 0 ? { images } : {}),
      completion: { text: input.completion },
      item: input.item ?? {},
      ...(input.reference === undefined ? {} : { reference: input.reference }),
      ...(input.group === undefined ? {} : { group: input.group })
    })
    const output: unknown = await Promise.race([call, aborted])
    const result = typeof output === 'object' && output !== null ? (output as Partial<Verdict>) : { score: output }
    const score = result.score
    if (score === null) return failed('the function returned null')
    if (typeof score !== 'number' || !Number.isFinite(score)) {
      return failed(`the function returned ${describe(output)}; expected a finite number, null, or { score }`)
    }
    const { rationale, criteria } = result as Partial<Verdict>
    return verdict({
      score,
      ...(typeof rationale === 'string' ? { rationale } : {}),
      ...(criteria && typeof criteria === 'object' ? { criteria } : {})
    })
  } catch (error) {
    if (options.signal?.aborted) return verdict({ score: null, reason: 'cancelled', detail: 'the run was cancelled' })
    if (limit.aborted) return verdict({ score: null, reason: 'timeout', detail: `no result within ${timeout} ms` })
    return failed(messageOf(error))
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** The verdict of a function that could not be run to its end. */
export const unscoredFunction = (input: JudgeInput, reason: UnscoredReason, detail: string): Verdict => ({
  ...(input.id === undefined ? {} : { id: input.id }),
  score: null,
  reason,
  detail,
  usage: { inputTokens: 0, outputTokens: 0 },
  cost: 0,
  latency: 0,
  attempts: 1,
  flags: []
})

function describe(value: unknown): string {
  if (typeof value === 'number' || value === undefined) return String(value)
  return (JSON.stringify(value) ?? typeof value).slice(0, 80)
}
