/** The training run from beginning to end, as a stream of events. */
import { join } from 'node:path'
import { checkpointFormat, saveCheckpoint } from './checkpoint.js'
import { learnsFromGiven, type LoadedConfig } from './config.js'
import { DeadGroupWatch } from './deadGroups.js'
import { evaluate } from './evaluate.js'
import { JudgeWatch, watchMetrics } from './judgeWatch.js'
import type { Metrics } from './metrics.js'
import { BudgetPause } from './rewards.js'
import { Session } from './session.js'
import { givenStep, reinforceStep, superviseStep } from './steps.js'

export type TrainEvent =
  | { type: 'start'; folder: string; step: number; steps: number }
  | { type: 'step'; step: number; metrics: Metrics }
  | { type: 'evaluation'; step: number; metrics: Metrics }
  | { type: 'checkpoint'; step: number; folder: string }
  | { type: 'warning'; step: number; message: string }
  /** Why it ended: all steps done, stopped by the signal, or the budget reached. */
  | { type: 'done'; step: number; reason: EndReason; folder: string; detail?: string }

type EndReason = 'finished' | 'stopped' | 'budget'

export interface TrainOptions {
  /** Aborted: the step in work is finished, a checkpoint is written, and the run ends with `done`. */
  signal?: AbortSignal
  /** Go on from the newest checkpoint of the run's folder. */
  resume?: boolean
}

/**
 * Trains by a configuration (`loadConfig('run.yaml')`, or `parseConfig`). The run's folder then holds config.yaml,
 * metrics.jsonl, rollouts, evaluations, checkpoints and the ledger. Throws what its parts throw, each an AdjudgeError;
 * what was done up to the last step is saved before.
 */
export async function* train(loaded: LoadedConfig, options: TrainOptions = {}): AsyncGenerator<TrainEvent> {
  await using session = await Session.open(loaded, options.resume ?? false)
  const { config, folder, state, metrics: file } = session
  const { steps, save_every: saveEvery, keep } = config.training
  const supervised = config.algorithm.preset === 'sft'
  const learn = supervised ? superviseStep : learnsFromGiven(config) ? givenStep : reinforceStep
  const before = { ...state.judge }
  const watch = new DeadGroupWatch(session.choices !== undefined)
  const judges = new JudgeWatch(session.rewards.columns)
  let saved = state.step
  let { version } = session.policy
  let reason = 'finished' as EndReason
  let detail: string | undefined

  async function save(): Promise<TrainEvent> {
    saved = state.step
    const at = await saveCheckpoint(join(folder, 'checkpoints'), session.policy, state, keep)
    return { type: 'checkpoint', step: state.step, folder: at }
  }
  function paused(error: unknown): void {
    if (!(error instanceof BudgetPause)) throw error
    reason = 'budget'
    detail = error.message
  }
  async function* measured(): AsyncGenerator<TrainEvent> {
    try {
      const metrics = await evaluate(session, state.step)
      await file.append({ format: checkpointFormat, step: state.step, seconds: state.seconds, ...metrics })
      yield { type: 'evaluation', step: state.step, metrics }
    } catch (error) {
      paused(error)
    }
  }
  function updateSpent(): void {
    const { calls, tokens, cost } = session.rewards.spent
    state.judge = { calls: before.calls + calls, tokens: before.tokens + tokens, cost: before.cost + cost }
  }
  const due = (every: number): boolean => every > 0 && (state.step % every === 0 || state.step === steps)

  yield { type: 'start', folder, step: state.step, steps }
  const evaluates = !supervised && config.evaluation.every > 0
  if (evaluates && state.step === 0) yield* measured()
  while (state.step < steps && reason === 'finished') {
    if (options.signal?.aborted) {
      reason = 'stopped'
      break
    }
    const step = state.step + 1
    const started = performance.now()
    let result
    try {
      result = await learn(session, step)
    } catch (error) {
      // Where some updates of the step are applied already, the weights are no longer those of a step.
      if (saved < state.step && session.policy.version === version) yield await save()
      paused(error)
      break
    }
    const seconds = (performance.now() - started) / 1000
    state.step = step
    version = session.policy.version
    state.tokens += result.tokens
    state.seconds += seconds
    updateSpent()
    const metrics: Metrics = {
      ...result.metrics,
      ...watchMetrics(session.rewards.columns),
      epoch: session.epochOf(step),
      num_tokens: state.tokens,
      tokens_per_second: result.tokens / seconds,
      step_time: seconds,
      seconds: state.seconds,
      ...(supervised
        ? {}
        : { 'judge/calls': state.judge.calls, 'judge/tokens': state.judge.tokens, 'judge/cost': state.judge.cost })
    }
    await file.append({ format: checkpointFormat, step, ...metrics })
    yield { type: 'step', step, metrics }
    const warning = supervised ? undefined : watch.see(step, metrics['frac_reward_zero_std'] ?? 0)
    if (warning !== undefined) yield { type: 'warning', step, message: warning }
    for (const message of judges.see()) yield { type: 'warning', step, message }
    const rare = step === 1 ? rareChoices(metrics['choice_mass'] ?? 1) : undefined
    if (rare !== undefined) yield { type: 'warning', step, message: rare }
    if (due(saveEvery)) yield await save()
    if (evaluates && due(config.evaluation.every)) yield* measured()
  }
  if (saved < state.step) yield await save()
  yield { type: 'done', step: state.step, reason, folder, ...(detail === undefined ? {} : { detail }) }
}

/** A closed set that the policy hardly ever answers with: what is learned would not show in free generation. */
function rareChoices(mass: number): string | undefined {
  if (mass >= 0.01) return undefined
  return (
    `the policy gives all of its rollout.choices together a probability of ${mass.toExponential(1)}. Training moves ` +
    'probability from one to the other, so that free generation will go on to say something else. Cures: a prompt ' +
    'that asks for one of the choices and names them; first an sft run on answers of this form; or take the answers ' +
    'by policy.choiceLogProbs'
  )
}
