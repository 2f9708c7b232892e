/** Files of answers on a command line: which format, and which field plays which part. */
import { Option, type Command } from 'commander'
import { rowFormats, type AnswerFields, type AnswerRole, type Row, type RowFormat } from '../data/index.js'
import { errorColors } from './colors.js'

export interface AnswerFlags {
  format?: RowFormat
  prompt?: string
  messages?: string
  answer?: string
  reference?: string
  id?: string
  group?: string
}

const roles: readonly AnswerRole[] = ['messages', 'prompt', 'answer', 'reference', 'id', 'group']

export const addAnswerFields = (command: Command): Command =>
  command
    .addOption(new Option('--format <name>', 'of the file; default: by its ending').choices(rowFormats))
    .option(
      '--prompt <field>',
      'the field that holds the prompt; default: the first of prompt, question, instruction, …'
    )
    .option('--messages <field>', 'the field that holds the conversation; default: messages')
    .option(
      '--answer <field>',
      'the field that holds the answer, or a list; default: completion, answer, …, else the last turn'
    )
    .option('--reference <field>', 'the field that holds a reference answer; default: reference, expected, target, …')
    .option('--id <field>', 'the field that names the row; default: id, else its place')
    .option('--group <field>', 'neighbouring rows with the same value here answer the same prompt')

export const fieldsFrom = (flags: AnswerFlags): AnswerFields =>
  Object.fromEntries(roles.flatMap((role) => (flags[role] === undefined ? [] : [[role, flags[role]]])))

export const flagOf = (role: AnswerRole): string => `--${role}`

/** Says which fields were taken where the user has not named them all and the names leave doubt. */
export function sayFields(found: AnswerFields, named: AnswerFields): void {
  const plain: AnswerFields = {
    messages: 'messages',
    prompt: 'prompt',
    answer: 'completion',
    reference: 'reference',
    id: 'id'
  }
  const guessed = roles.filter((role) => found[role] !== undefined && !named[role] && found[role] !== plain[role])
  if (guessed.length === 0) return
  console.error(errorColors.dim(`fields taken: ${guessed.map((role) => `${role} from ${found[role]}`).join(', ')}`))
}

/** The rows again, with the first one already read: a file that cannot be read is told before anything else. */
export async function begun(rows: AsyncGenerator<Row>): Promise<AsyncGenerator<Row>> {
  const first = await rows.next()
  return (async function* () {
    try {
      if (!first.done) yield first.value
      yield* rows
    } finally {
      await rows.return(undefined)
    }
  })()
}
