/** What a mode of judging is: from the answers to a prompt to a verdict for each. */
import type { PromptTemplate } from '../prompt.js'
import type { Field, Question } from '../question.js'
import type { Rubric } from '../rubric.js'
import type { JudgeInput, Verdict } from '../types.js'

/** What a mode works with: the rubric, and a judge that can be asked. */
export interface ModeContext {
  rubric: Rubric
  reasoning: 'none' | 'before'
  /** The user's own prompt; only modes that judge one answer at a time take one. */
  template?: PromptTemplate
  signal?: AbortSignal
  /** Asks the judge. A failure is an unscored verdict; identical questions are asked once, and never again. */
  ask(question: Question): Promise<Verdict>
  /** What an answer gets that is empty or ends inside its reasoning: it is not sent. */
  empty(): Verdict
}

/** A way of judging. Give one of your own as `mode` to `createJudge`. */
export interface Mode {
  readonly name: string
  /** True where all answers to a prompt must be there before any can be judged. */
  readonly together: boolean
  /** Throws JUDGE_INVALID or RUBRIC_INVALID where the rubric does not fit the mode. */
  check?(rubric: Rubric): void
  /** The values that the judge is asked for, where they are the same for every input: a native judge checks them. */
  fields?(rubric: Rubric): Field[]
  /** One verdict per input, in their order. `inputs` holds one, or where `together`, all answers to one prompt. */
  judge(inputs: readonly JudgeInput[], context: ModeContext): Promise<Verdict[]>
}
