/** `adjudge train run.yaml`: the run with its progress; Ctrl-C finishes the step, saves, and says how to resume. */
import { Command } from 'commander'
import { loadConfig, train, type Metrics } from '../train/index.js'
import { planOf } from '../train/plan.js'
import { errorColors } from './colors.js'
import { onInterrupt, Stopped } from './interrupt.js'
import { startProgress } from './progress.js'

interface TrainCommandOptions {
  set: string[]
  resume?: boolean
  dryRun?: boolean
}

const collect = (value: string, before: string[]): string[] => [...before, value]

export const trainCommand = (): Command =>
  new Command('train')
    .description(
      'train a model by the rewards of judges, graders and functions, by judged answers, or by given ones (sft)'
    )
    .argument('<config>', 'run.yaml')
    .option('--set <key=value>', 'go before a value of the configuration, for example training.steps=20', collect, [])
    .option('--resume', "go on from the run's newest checkpoint")
    .option('--dry-run', 'show the plan and train nothing')
    .action(runTraining)

async function runTraining(file: string, options: TrainCommandOptions): Promise<void> {
  const loaded = loadConfig(file, options.set)
  if (options.dryRun) {
    const { lines, problem } = await planOf(loaded)
    for (const line of lines) console.log(line)
    if (problem) throw problem
    return
  }
  using interrupt = onInterrupt('finishes this step and saves')
  const { steps } = loaded.config.training
  const progress = startProgress(steps, 'steps', 0)
  try {
    for await (const event of train(loaded, { signal: interrupt.signal, resume: options.resume ?? false })) {
      switch (event.type) {
        case 'start':
          progress.say(event.step > 0 ? `goes on after step ${event.step} in ${event.folder}` : `run ${event.folder}`)
          break
        case 'step':
          progress.update(event.step, noteOf(event.metrics, steps - event.step))
          break
        case 'evaluation':
          progress.say(`step ${event.step}: ${evaluationOf(event.metrics)}`)
          break
        case 'warning':
          progress.say(errorColors.yellow(event.message))
          break
        case 'checkpoint':
          progress.say(`saved ${event.folder}`)
          break
        case 'done':
          progress.stop()
          console.log(`${endings[event.reason]} after step ${event.step}: ${event.folder}`)
          if (event.detail !== undefined) console.log(`${event.detail} (budget in ${file})`)
          if (event.reason !== 'finished') console.log(`go on with: adjudge train ${file} --resume`)
          if (event.reason === 'stopped') throw new Stopped()
      }
    }
  } finally {
    progress.stop()
  }
}

const endings = { finished: 'done', stopped: 'stopped', budget: 'the budget is reached; ended' }

function noteOf(metrics: Metrics, left: number): string {
  const shown = (name: string, label: string, digits: number): string[] => {
    const value = metrics[name]
    return value === null || value === undefined ? [] : [`${label} ${value.toFixed(digits)}`]
  }
  const share = metrics['frac_reward_zero_std']
  const minutes = (left * (metrics['step_time'] ?? 0)) / 60
  return [
    ...shown('reward', 'reward', 3),
    ...shown('loss', 'loss', 4),
    ...shown('kl', 'kl', 4),
    ...shown('entropy', 'entropy', 3),
    ...(share === null || share === undefined ? [] : [`dead groups ${Math.round(share * 100)} %`]),
    ...(metrics['unscored'] ? [`unscored ${metrics['unscored']}`] : []),
    ...shown('tokens_per_second', 'tokens/s', 0),
    ...shown('time/judge', 'waited for judges s', 1),
    `${minutes < 1 ? '<1' : Math.round(minutes)} min left`
  ].join('  ')
}

function evaluationOf(metrics: Metrics): string {
  const mean = metrics['eval/reward']
  const error = metrics['eval/reward_stderr']
  const unscored = metrics['eval/unscored']
  const accuracy = metrics['eval/rewards/accuracies']
  const compared =
    accuracy === undefined || accuracy === null
      ? ''
      : `prefers ${(accuracy * 100).toFixed(0)} % of the held-out chosen answers`
  if (mean === undefined) return compared || `held-out loss ${metrics['eval/loss']?.toFixed(4) ?? 'none'}`
  return (
    (compared ? `${compared}, ` : '') +
    `held-out reward ${mean?.toFixed(3) ?? 'none'}` +
    (error === null || error === undefined ? '' : ` ± ${error.toFixed(3)}`) +
    (unscored ? `, ${unscored} unscored` : '')
  )
}
