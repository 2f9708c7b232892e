/**
 * javascript: our counterpart of OpenAI's python grader. `source` defines `grade(sample, item)` and runs on a worker
 * thread with limits of time and memory; `path` names a module whose default export is a reward function, which runs in
 * this thread. The limits keep accidents out and no attacker: this is code with the rights of the process, no sandbox,
 * so only a user's own configuration may name it.
 */
import { AdjudgeError } from '../errors.js'
import { loadFunction, runFunction } from '../judge/function.js'
import { messageOf } from '../judge/retry.js'
import { graderOf, positiveField, scoreOf, textField } from './common.js'
import { GraderFailure } from './failure.js'
import type { Grader, GraderOptions, GraderSpec, GraderVerdict } from './types.js'
import { openCodeWorkers } from './workers.js'

/** Milliseconds for one call of `grade`. */
const timeLimit = 2_000
/** Megabytes of objects. */
const memoryLimit = 128
/** Bytes of source; OpenAI's bound for python. */
const sourceLimit = 256 * 1024

/**
 * `timeout` in milliseconds (default 2,000), `memory` in megabytes of JavaScript objects (default 128; array buffers do
 * not count). A grader that exceeds them, throws, or returns anything but a finite number leaves its item unscored.
 */
export async function javascriptGrader(spec: GraderSpec, where: string, options: GraderOptions): Promise<Grader> {
  if (spec.path !== undefined) {
    const judge = await loadFunction(textField(spec, 'path', where), options.folder)
    return graderOf(spec, where, async (_, input, { signal }) => {
      const verdict: GraderVerdict = await runFunction(judge, input, signal ? { signal } : {})
      if (verdict.score === null) verdict.errors = { python_grader_runtime_error: verdict.detail ?? 'no score' }
      return verdict
    })
  }
  const source = textField(spec, 'source', where)
  const timeout = positiveField(spec, 'timeout', where) ?? timeLimit
  const memory = positiveField(spec, 'memory', where) ?? memoryLimit
  const refused = (what: string, cause?: unknown): AdjudgeError =>
    new AdjudgeError(
      'GRADER_INVALID',
      `${where}.source cannot be used (${what}); expected: function grade(sample, item) { return a number }`,
      { cause }
    )
  if (Buffer.byteLength(source) > sourceLimit) throw refused(`it is longer than ${sourceLimit} bytes`)
  const workers = openCodeWorkers(memory)
  const program = { source, filename: `${where}.source`, timeout }
  try {
    const { error } = await workers.run(program)
    if (error !== undefined) throw refused(error)
  } catch (cause) {
    await workers.close()
    throw cause instanceof AdjudgeError ? cause : refused(messageOf(cause), cause)
  }
  const grade = async (input: string): Promise<Partial<GraderVerdict>> => {
    let answer
    try {
      answer = await workers.run({ ...program, input })
    } catch (error) {
      throw new GraderFailure(
        `the worker thread ended (${messageOf(error)}; memory is limited to ${memory} MB)`,
        'function_error',
        'python_grader_server_error'
      )
    }
    if (answer.error !== undefined) {
      throw new GraderFailure(answer.error, 'function_error', 'python_grader_runtime_error')
    }
    return scoreOf(answer.result!)
  }
  return graderOf(
    spec,
    where,
    (scope, _, { signal }) => {
      if (signal?.aborted) throw new GraderFailure('the run was cancelled', 'cancelled')
      return grade(JSON.stringify(scope))
    },
    () => workers.close()
  )
}
