/** The command line: one file per command; what they throw is answered here, in one way. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { packageRoot } from '../binding/load.js'
import { isAdjudgeError } from '../errors.js'
import { errorColors } from './colors.js'
import { buildCommand } from './build.js'
import { compareCommand } from './compare.js'
import { doctorCommand } from './doctor.js'
import { evalCommand } from './eval.js'
import { generateCommand } from './generate.js'
import { Exit } from './exit.js'
import { judgeCommand } from './judge.js'
import { ledgerCommand } from './ledger.js'
import { mergeCommand } from './merge.js'
import { rubricCommand } from './rubric.js'
import { trainCommand } from './train.js'
import { quickstartCommand } from './quickstart.js'

/**
 * Runs one command and resolves with its exit code: 0 done, 1 failed, 2 wrong usage, 3 a limit given for CI is not met,
 * 4 a budget is reached, 130 stopped by Ctrl-C.
 */
export async function run(args: string[]): Promise<number> {
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string }
  const program = new Command('adjudge')
    .description('Reinforcement fine-tuning with LLM judges')
    .version(version)
    .showSuggestionAfterError()
    .exitOverride()
  for (const command of [
    quickstartCommand(),
    trainCommand(),
    generateCommand(),
    evalCommand(),
    mergeCommand(),
    judgeCommand(),
    compareCommand(),
    rubricCommand(),
    ledgerCommand(),
    doctorCommand(),
    buildCommand()
  ]) {
    program.addCommand(command.exitOverride().showHelpAfterError('(--help lists the options)'))
  }
  try {
    await program.parseAsync(args, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof Exit) return error.exitCode
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!isAdjudgeError(error)) {
      console.error(errorColors.red('adjudge: a defect in adjudge itself (INTERNAL)'), error)
      return 1
    }
    console.error(`${errorColors.red(`adjudge: ${error.code}`)}\n${error.message}`)
    return error.code === 'CANCELLED' ? 130 : 1
  }
}
