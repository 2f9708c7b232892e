/**
 * javascript: our counterpart of OpenAI's python grader. `source` defines `grade(sample, item)`, or `path` names a module
 * whose default export is a reward function. This is code: it runs with the rights of the process (`source` in a context
 * of its own with a time limit, which keeps accidents out and no attacker), so only a user's own configuration may name it.
 */
import { createContext, Script } from 'node:vm'
import { AdjudgeError } from '../errors.js'
import { loadFunction, runFunction } from '../judge/function.js'
import { messageOf } from '../judge/retry.js'
import { graderOf, numberField, scoreOf, textField } from './common.js'
import { GraderFailure } from './failure.js'
import type { Grader, GraderOptions, GraderSpec } from './types.js'

/** Milliseconds for one call of `grade`. */
const timeLimit = 2_000

export async function javascriptGrader(spec: GraderSpec, where: string, options: GraderOptions): Promise<Grader> {
  if (spec.path !== undefined) {
    const judge = await loadFunction(textField(spec, 'path', where), options.folder)
    return graderOf(spec, where, (_, input) => runFunction(judge, input))
  }
  const source = textField(spec, 'source', where)
  const timeout = numberField(spec, 'timeout', where) ?? timeLimit
  const context = createContext(Object.create(null) as object, { codeGeneration: { strings: false, wasm: false } })
  try {
    new Script(source, { filename: `${where}.source` }).runInContext(context, { timeout })
    if (new Script('typeof grade').runInContext(context) !== 'function') throw new Error('it defines no function grade')
  } catch (cause) {
    throw new AdjudgeError(
      'GRADER_INVALID',
      `${where}.source cannot be used (${messageOf(cause)}); expected: function grade(sample, item) { return a number }`,
      { cause }
    )
  }
  const call = new Script('grade(JSON.parse(input).sample, JSON.parse(input).item)')
  return graderOf(spec, where, (scope) => {
    let result: unknown
    try {
      ;(context as { input?: string }).input = JSON.stringify(scope)
      result = call.runInContext(context, { timeout })
    } catch (error) {
      throw new GraderFailure(messageOf(error), 'function_error', 'python_grader_runtime_error')
    }
    if (typeof result !== 'number') throw new GraderFailure(`grade returned ${describe(result)}; expected a number`)
    return Promise.resolve(scoreOf(result))
  })
}

const describe = (value: unknown): string =>
  typeof value === 'object' && value !== null ? 'an object' : `${typeof value} ${String(value)}`
