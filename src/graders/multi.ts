/** multi: several graders and a formula over their scores. */
import { AdjudgeError } from '../errors.js'
import type { UnscoredReason, Usage, VerdictFlag } from '../judge/types.js'
import { graderOf, numberField, scoreOf, textField } from './common.js'
import type { GraderErrorName, GraderErrors } from './failure.js'
import { Formula } from './formula.js'
import type { Grader, GraderSpec, GraderVerdict } from './types.js'

/**
 * `graders` is a map from variable to grader (the guide's and the service's form), an array, or a single grader (the
 * types' forms; the variables are then their names). No multi inside a multi. A part without a score makes the whole
 * unscored, unless `invalid_grade` says what it counts as or the formula does not read it.
 */
export async function multiGrader(
  spec: GraderSpec,
  where: string,
  make: (spec: GraderSpec, where: string) => Promise<Grader>
): Promise<Grader> {
  const parts = partsOf(spec, where)
  const formula = Formula.parse(textField(spec, 'calculate_output', where), [...parts.keys()])
  const invalidGrade = numberField(spec, 'invalid_grade', where)
  const graders = new Map<string, Grader>()
  try {
    for (const [key, part] of parts) {
      if (part.type === 'multi') {
        throw new AdjudgeError(
          'GRADER_INVALID',
          `${where}.graders.${key} is a multi grader; a multi may not hold another`
        )
      }
      graders.set(key, await make(part, `${where}.graders.${key}`))
    }
  } catch (error) {
    await closeAll(graders)
    throw error
  }
  return graderOf(
    spec,
    where,
    async (_, input, options) => {
      const names = [...graders.keys()]
      const verdicts = await Promise.all(names.map((name) => graders.get(name)!.grade(input, options)))
      const values: Record<string, number> = {}
      const subScores: Record<string, number | null> = {}
      const usage = { inputTokens: 0, outputTokens: 0 }
      const flags = new Set<VerdictFlag>()
      const usageByModel: Record<string, Usage> = {}
      const errors: GraderErrors = {}
      let cost: number | null = 0
      let lost: { reason: UnscoredReason; detail: string } | undefined
      verdicts.forEach((verdict, index) => {
        const name = names[index]
        subScores[name] = verdict.score
        usage.inputTokens += verdict.usage.inputTokens
        usage.outputTokens += verdict.usage.outputTokens
        cost = cost === null || verdict.cost === null ? null : cost + verdict.cost
        for (const flag of verdict.flags) flags.add(flag)
        for (const [model, spent] of Object.entries(verdict.usageByModel ?? {})) {
          usageByModel[model] = addUsage(usageByModel[model], spent)
        }
        // Of two parts with the same fault the first one's detail stays.
        for (const [error, detail] of Object.entries(verdict.errors ?? {})) {
          errors[error as GraderErrorName] ??= `${name}: ${detail}`
        }
        const value = verdict.score ?? invalidGrade
        if (value !== undefined) values[name] = value
        else if (formula.names.includes(name)) {
          lost ??= { reason: verdict.reason ?? 'function_error', detail: `${name}: ${verdict.detail ?? 'unscored'}` }
        }
      })
      const result: Partial<GraderVerdict> = lost ? { score: null, ...lost } : scoreOf(formula.evaluate(values))
      Object.assign(errors, result.errors)
      return {
        ...result,
        subScores,
        usage,
        cost,
        flags: [...flags],
        ...(Object.keys(usageByModel).length > 0 ? { usageByModel } : {}),
        ...(Object.keys(errors).length > 0 ? { errors } : {})
      }
    },
    () => closeAll(graders)
  )
}

const addUsage = (sum: Usage | undefined, part: Usage): Usage => ({
  inputTokens: (sum?.inputTokens ?? 0) + part.inputTokens,
  outputTokens: (sum?.outputTokens ?? 0) + part.outputTokens
})

async function closeAll(graders: Map<string, Grader>): Promise<void> {
  await Promise.all([...graders.values()].map((grader) => grader.close()))
}

function partsOf(spec: GraderSpec, where: string): Map<string, GraderSpec> {
  const { graders } = spec
  const wrong = (message: string): AdjudgeError => new AdjudgeError('GRADER_INVALID', `${where}.graders ${message}`)
  if (typeof graders !== 'object' || graders === null) throw wrong('is missing; expected a map from variable to grader')
  const single = typeof (graders as { type?: unknown }).type === 'string'
  const entries: [string | undefined, GraderSpec][] = Array.isArray(graders)
    ? (graders as GraderSpec[]).map((grader) => [grader?.name, grader])
    : single
      ? [[(graders as GraderSpec).name, graders as GraderSpec]]
      : Object.entries(graders as Record<string, GraderSpec>)
  const parts = new Map<string, GraderSpec>()
  for (const [key, grader] of entries) {
    if (typeof grader !== 'object' || grader === null) throw wrong(`holds ${JSON.stringify(grader)}; expected graders`)
    if (key === undefined) throw wrong('holds a grader without a name; the formula needs one')
    if (!/^[A-Za-z_]\w*$/.test(key))
      throw wrong(`holds the name ${JSON.stringify(key)}; expected letters, digits and _`)
    if (parts.has(key)) throw wrong(`holds the name ${key} twice`)
    parts.set(key, grader)
  }
  if (parts.size === 0) throw wrong('is empty; expected at least one grader')
  return parts
}
