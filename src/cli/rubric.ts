/** `adjudge rubric`: begin one from a template, find what is amiss in one, see what a judge will be shown. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { packageRoot } from '../binding/load.js'
import { AnswerReader, readRows, type Row } from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import {
  lintRubric,
  lintRules,
  modeNames,
  nearest,
  questionsFor,
  type JudgeInput,
  type ModeName,
  type Question
} from '../judge/index.js'
import { textOf } from '../judge/content.js'
import { charactersOf } from '../judge/schedule/estimate.js'
import { readModelFiles } from '../policy/files.js'
import { Tokenizer } from '../policy/tokenizer.js'
import { writeAtomic } from '../train/files.js'
import { addAnswerFields, fieldsFrom, flagOf, type AnswerFlags } from './answers.js'
import { outColors } from './colors.js'
import { charactersPerToken } from './dryRun.js'
import { Exit } from './exit.js'
import { positiveInteger } from './numbers.js'

const folder = join(packageRoot, 'assets', 'rubrics')

export const rubricCommand = (): Command =>
  new Command('rubric')
    .description('begin a rubric from a template, check one, or see what a judge is shown')
    .addCommand(initCommand())
    .addCommand(lintCommand())
    .addCommand(previewCommand())
    .addHelpText('after', examples)

const examples = `
Examples:
  adjudge rubric init --list
  adjudge rubric init rubric.yaml --template summary
  adjudge rubric lint rubric.yaml
  adjudge rubric preview rubric.yaml --data answers.jsonl --item 3
`

interface InitOptions {
  template: string
  list?: boolean
  force?: boolean
}

const initCommand = (): Command =>
  new Command('init')
    .description('write a rubric to begin from')
    .argument('[file]', 'default: rubric.yaml', 'rubric.yaml')
    .option('--template <name>', 'which; --list shows them', 'helpfulness')
    .option('--list', 'show the templates and write nothing')
    .option('--force', 'replace the file if it is there')
    .addHelpText('after', '\nExample:\n  adjudge rubric init rubric.yaml --template translation\n')
    .action(async (file: string, options: InitOptions) => {
      const names = readdirSync(folder)
        .map((name) => name.replace(/\.yaml$/, ''))
        .sort()
      if (options.list) {
        const width = Math.max(...names.map((name) => name.length))
        for (const name of names) console.log(`${name.padEnd(width)}  ${subjectOf(name)}`)
        return
      }
      if (!names.includes(options.template)) {
        const near = nearest(options.template, names)
        const hint = near ? `did you mean ${near}?` : `expected one of ${names.join(', ')}`
        throw new AdjudgeError('ARGUMENT_INVALID', `--template is ${options.template}; ${hint}`)
      }
      if (existsSync(file) && !options.force) {
        throw new AdjudgeError('FILE_UNWRITABLE', `${file}: is there already; another name, or --force to replace it`)
      }
      await writeAtomic(file, textOfTemplate(options.template))
      console.log(`wrote ${file}; change it to what you want to see, then: adjudge rubric lint ${file}`)
    })

const textOfTemplate = (name: string): string => readFileSync(join(folder, `${name}.yaml`), 'utf8')

/** The comment that a template begins with. */
const subjectOf = (name: string): string => textOfTemplate(name).split('\n')[0].replace(/^#\s*/, '')

interface LintOptions {
  json?: boolean
  strict?: boolean
  rules?: boolean
}

const lintCommand = (): Command =>
  new Command('lint')
    .description('find what makes verdicts by a rubric wrong (errors) or worse (warnings)')
    .argument('[files...]', 'rubrics (YAML)')
    .option('--json', 'the findings as JSON')
    .option('--strict', 'warnings count as errors')
    .option('--rules', 'show the rules and check nothing')
    .addHelpText(
      'after',
      '\nExample:\n  adjudge rubric lint rubrics/*.yaml --json\n\nExit codes: 0 no errors, 1 errors\n'
    )
    .action((files: string[], options: LintOptions) => {
      if (options.rules) {
        for (const [rule, what] of Object.entries(lintRules)) console.log(`${rule.padEnd(22)} ${what}`)
        return
      }
      if (files.length === 0) throw new AdjudgeError('ARGUMENT_INVALID', 'expected the file of a rubric to check')
      const findings = files.flatMap((file) => lintRubric(read(file), file).map((finding) => ({ file, ...finding })))
      if (options.json) console.log(JSON.stringify(findings, null, 2))
      else {
        for (const { file, line, severity, rule, message } of findings) {
          const colour = severity === 'error' ? outColors.red : outColors.yellow
          console.log(`${file}:${line}: ${colour(severity)} ${rule}: ${message}`)
        }
      }
      const errors = findings.filter(({ severity }) => severity === 'error').length
      if (!options.json) console.log(`${errors} errors, ${findings.length - errors} warnings`)
      if (errors > 0 || (options.strict && findings.length > 0)) throw new Exit(1)
    })

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new AdjudgeError('FILE_UNREADABLE', `${file}: cannot be read (${(cause as Error).message})`, { cause })
  }
}

interface PreviewOptions extends AnswerFlags {
  data?: string
  item: number
  mode?: ModeName
  reasoning?: 'none' | 'before'
  model?: string
}

const previewCommand = (): Command =>
  addAnswerFields(
    new Command('preview')
      .description('show the prompt that a judge gets, and its tokens; nothing is asked')
      .argument('<rubric>', 'the rubric (YAML)')
      .option('--data <file>', 'answers to take one from; default: an example')
      .option('--item <n>', 'which row of it, from 1', positiveInteger, 1)
      .addOption(new Option('--mode <name>', 'how it is judged').choices(modeNames))
      .addOption(new Option('--reasoning <when>', 'instead of what the rubric says').choices(['none', 'before']))
      .option('--model <path>', 'a model folder or GGUF file whose tokenizer counts; else tokens are estimated')
  )
    .addHelpText(
      'after',
      '\nExample:\n  adjudge rubric preview rubric.yaml --data answers.csv --item 7 --model models/smollm2\n'
    )
    .action(preview)

const sample: JudgeInput = {
  id: 'example',
  messages: [{ role: 'user', content: 'What is the capital of Australia?' }],
  completion: 'The capital of Australia is Canberra.',
  reference: 'Canberra'
}

async function preview(rubric: string, options: PreviewOptions): Promise<void> {
  const given = options.data === undefined ? [sample] : await rowAt(options.data, options)
  const together = options.mode === 'group' || options.mode === 'tournament'
  const inputs = together && given.length === 1 ? [...given, { ...given[0], completion: 'Sydney.' }] : given
  const questions = await questionsFor(
    {
      provider: 'openai',
      rubric,
      ...(options.mode === undefined ? {} : { mode: options.mode }),
      ...(options.reasoning === undefined ? {} : { reasoning: options.reasoning })
    },
    inputs
  )
  if (questions.length === 0) {
    console.log('nothing is asked: an empty answer, a missing reference, and equal answers are decided by rule')
    return
  }
  const tokenizer = options.model === undefined ? undefined : await tokenizerOf(options.model)
  questions.forEach((question, index) => {
    if (questions.length > 1) console.log(outColors.bold(`call ${index + 1} of ${questions.length}`))
    for (const { role, content } of question.messages) {
      console.log(outColors.cyan(`--- ${role}`))
      console.log(textOf(content))
    }
    console.log(outColors.cyan('---'))
    if (question.injected) console.log('the answer has marks of a forged verdict or fence, which were made powerless')
    console.log(tokensOf(question, tokenizer))
  })
}

async function rowAt(file: string, options: PreviewOptions): Promise<JudgeInput[]> {
  const reader = new AnswerReader(fieldsFrom(options), flagOf)
  let last: Row | undefined
  for await (const row of readRows(file, options.format ? { format: options.format } : {})) {
    // Each row is read, for the first settles which field is which.
    const answers = reader.read(row)
    if (row.index + 1 === options.item) return answers.map(({ input }) => input)
    last = row
  }
  throw new AdjudgeError('ARGUMENT_INVALID', `--item is ${options.item}; ${file} has ${last!.index + 1} rows`)
}

async function tokenizerOf(path: string): Promise<Tokenizer> {
  const { tokenizer } = await readModelFiles(path)
  if (!tokenizer) throw new AdjudgeError('TOKENIZER_INVALID', `${path}: there is no tokenizer`)
  return new Tokenizer(tokenizer)
}

function tokensOf(question: Question, tokenizer: Tokenizer | undefined): string {
  const characters = charactersOf(question.messages)
  if (!tokenizer) {
    const tokens = Math.ceil(characters / charactersPerToken)
    return `about ${tokens} tokens (${characters} characters, estimated at ${charactersPerToken} a token; --model counts)`
  }
  const messages = question.messages.map(({ role, content }) => ({ role, content: textOf(content) }))
  const count = tokenizer.encode(tokenizer.renderChat(messages)).length
  const closed = question.choicePrompts?.map((prompt) => {
    const plain = prompt.map(({ role, content }) => ({ role, content: textOf(content) }))
    return tokenizer.encode(tokenizer.renderChat(plain)).length
  })
  const native = closed ? `; as a native judge ${closed.length} prompts of ${closed.join(', ')} tokens` : ''
  return `${count} tokens with the chat template (${characters} characters)${native}`
}
