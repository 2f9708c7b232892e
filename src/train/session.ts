/** What a run holds open: model, data, judges, ledger, and its folder. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  AnsweredGroups,
  Dataset,
  permutation,
  position,
  type AnsweredItem,
  type DataItem,
  type DatasetOptions
} from '../data/index.js'
import { AdjudgeError } from '../errors.js'
import { Budget, Ledger, StoredSpending } from '../judge/index.js'
import { Policy } from '../policy/policy.js'
import type { GenerateOptions } from '../policy/types.js'
import { latestCheckpoint, type Checkpoint, type RunState } from './checkpoint.js'
import { Choices } from './choices.js'
import { criticOf, learnsFromGiven, needsReference, type LoadedConfig } from './config.js'
import { removeParts } from './files.js'
import { keepConfig } from './identity.js'
import { lockRun } from './lock.js'
import { checkMemory, planMemory } from './memory.js'
import { MetricsFile } from './metrics.js'
import { qTrainingOf } from './qConfig.js'
import { addQHeads } from './qHeads.js'
import { checkReachable } from './reach.js'
import { ReferenceLogProbs } from './references.js'
import { valueHead } from './reinforcement.js'
import { Rewards } from './rewards.js'
import type { RunConfig } from './schema.js'

export class Session implements AsyncDisposable {
  private readonly opened: (() => void | Promise<void>)[] = []
  private locked = false
  policy!: Policy
  /** What KL is measured against, where it is not the policy without its adapter. */
  reference: Policy | undefined
  train!: Dataset
  test: Dataset | undefined
  /** The answers of `train` by prompt, where the run learns from those. */
  given: AnsweredGroups | undefined
  /** The same of `test`, where it has some. */
  givenTest: AnsweredGroups | undefined
  /** Of given answers. */
  readonly references = new ReferenceLogProbs()
  rewards!: Rewards
  metrics!: MetricsFile
  /** The closed set of answers, where the run has one instead of samples. */
  readonly choices: Choices | undefined
  state!: RunState

  private constructor(
    readonly config: LoadedConfig['config'],
    readonly folder: string
  ) {
    const { choices } = config.rollout
    this.choices = choices === undefined ? undefined : Choices.parse(choices)
  }

  /**
   * Opens everything that the run needs and nothing is trained yet. The cheap and the likely to fail come first.
   * Throws what model, data and judges throw, FILE_LOCKED where the folder's run is at work, and CHECKPOINT_INVALID where `resume` does not fit the run's folder.
   */
  static async open({ config, folder: configFolder }: LoadedConfig, resume: boolean): Promise<Session> {
    const folder = join(config.runs, config.name)
    const session = new Session(config, folder)
    try {
      if (existsSync(folder)) session.lock()
      await session.openAt(configFolder, resume)
      return session
    } catch (error) {
      await session[Symbol.asyncDispose]()
      throw error
    }
  }

  private lock(): void {
    if (!this.locked) this.opened.push(lockRun(this.folder))
    this.locked = true
  }

  private async openAt(configFolder: string, resume: boolean): Promise<void> {
    const { folder } = this
    const checkpoint = resume ? latestCheckpoint(join(folder, 'checkpoints')) : undefined
    // A run that failed before its first step has nothing to lose: its configuration may be put right.
    const begun = existsSync(join(folder, 'metrics.jsonl')) || existsSync(join(folder, 'checkpoints'))
    if (begun && !resume) {
      const message = `${folder}: a run of this name is there; go on with it by --resume, or give this one another name (--set name=…)`
      throw new AdjudgeError('CONFIG_INVALID', message)
    }
    await this.openParts(configFolder, checkpoint, resume && begun)
  }

  private async openParts(configFolder: string, checkpoint: Checkpoint | undefined, resume: boolean): Promise<void> {
    const { config, folder } = this
    const options: DatasetOptions = config.data.prompt === undefined ? {} : { prompt: config.data.prompt }
    this.train = await Dataset.open(config.data.train, options)
    this.opened.push(() => this.train.close())
    if (config.data.test !== undefined) {
      const test = await Dataset.open(config.data.test, options)
      this.test = test
      this.opened.push(() => test.close())
    }
    if (learnsFromGiven(config)) {
      this.given = await AnsweredGroups.of(this.train)
      const { test } = this
      // Prompts alone will do where judges look at what the policy says to them.
      if (test && (config.rewards.length === 0 || (await AnsweredGroups.areIn(test)))) {
        this.givenTest = await AnsweredGroups.of(test)
      }
    }
    await checkReachable(config.rewards)
    const plan = await planMemory({ config, folder: configFolder }, this.train)
    if (plan) checkMemory(plan, config)
    await this.loadPolicies(checkpoint)
    makeFolder(folder)
    this.lock()
    const ledger = Ledger.open(config.ledger ?? join(folder, 'ledger'))
    this.opened.push(() => ledger.close())
    const budget = this.openBudget(ledger, resume)
    this.rewards = await Rewards.open(config.rewards, configFolder, ledger, budget)
    this.opened.push(() => this.rewards.close())
    if (resume) await removeParts(folder)
    await keepConfig(folder, config, resume)
    this.metrics = new MetricsFile(join(folder, 'metrics.jsonl'))
    this.state = checkpoint?.state ?? {
      format: 1,
      step: 0,
      tokens: 0,
      judge: { calls: 0, tokens: 0, cost: 0 },
      seconds: 0,
      dtype: this.policy.description.dtype
    }
    if (resume) await this.metrics.rewind(this.state.step)
  }

  /** What was spent is kept beside the ledger: a run that was killed goes on with the rest. */
  private openBudget(ledger: Ledger, resume: boolean): Budget | undefined {
    const { budget: limits } = this.config
    if (Object.keys(limits).every((key) => key === 'per')) return undefined
    const spending = StoredSpending.open(ledger.path)
    this.opened.push(() => spending.close())
    const budget = new Budget(limits, spending, `run ${this.folder}`)
    if (!resume) budget.restart()
    return budget
  }

  private async loadPolicies(checkpoint: Checkpoint | undefined): Promise<void> {
    const { model, training } = this.config
    const { threads } = model
    const common = { dtype: checkpoint?.state.dtype ?? model.dtype, ...(threads === undefined ? {} : { threads }) }
    const adapted = model.lora !== undefined || model.adapter !== undefined
    const adapter = adapted ? (checkpoint?.model ?? model.adapter) : undefined
    const lora = model.lora && {
      rank: model.lora.rank,
      alpha: model.lora.alpha,
      targetModules: model.lora.target_modules
    }
    this.policy = await Policy.load(adapted ? model.path : (checkpoint?.model ?? model.path), {
      ...common,
      seed: training.seed,
      ...(adapter === undefined ? (lora ? { lora } : {}) : { adapter })
    })
    this.opened.push(() => this.policy.dispose())
    await this.openCritic(checkpoint)
    await this.openQHeads(checkpoint)
    if (checkpoint) await this.policy.loadOptimizer(checkpoint.optimizer)
    const { config } = this
    if (adapted || !needsReference(config)) return
    const reference = await Policy.load(model.path, { ...common, trainable: false })
    this.reference = reference
    this.opened.push(() => reference.dispose())
  }

  /** The value head of an algorithm that has one: of the checkpoint, of the model's own folder, or new. */
  private async openCritic(checkpoint: Checkpoint | undefined): Promise<void> {
    const { config, policy } = this
    const critic = criticOf(config)
    if (!critic) return
    const folder = checkpoint?.model ?? config.model.adapter ?? config.model.path
    if (checkpoint || existsSync(join(folder, 'heads'))) await policy.loadHeads(folder)
    else await policy.addHead(valueHead, { stopGradient: critic.stopGradient })
  }

  /** The heads of ilql: of the checkpoint, or new. */
  private async openQHeads(checkpoint: Checkpoint | undefined): Promise<void> {
    const { config, policy } = this
    const q = qTrainingOf(config)
    if (!q) return
    if (checkpoint) await policy.loadHeads(checkpoint.model)
    else await addQHeads(policy, q, config.training.seed)
  }

  /** The prompts of a step (from 1): the next ones of the epoch's order. */
  async itemsOf(step: number): Promise<DataItem[]> {
    return Promise.all(this.placesOf(step).map((index) => this.train.item(index)))
  }

  /** The same, with the answers that the data brings. */
  async answeredOf(step: number): Promise<AnsweredItem[]> {
    return Promise.all(this.placesOf(step).map((index) => this.given!.group(index)))
  }

  /** Prompts of an epoch. */
  private get prompts(): number {
    return this.given?.length ?? this.train.length
  }

  private placesOf(step: number): number[] {
    const { prompts } = this.config.rollout
    return Array.from({ length: prompts }, (_, offset) => {
      const { epoch, index } = position((step - 1) * prompts + offset, this.prompts)
      return permutation(this.prompts, this.config.training.seed, epoch)(index)
    })
  }

  /** Throws CONTEXT_EXCEEDED, with file and line, where a prompt is too long for the configuration or the model. */
  async checkLengths(items: DataItem[], file: string): Promise<void> {
    const { max_prompt_tokens: most } = this.config.data
    const answer = this.choices ? 0 : this.config.rollout.max_tokens
    const room = this.policy.description.maxPositions - answer
    const encoded = await this.policy.encodePrompts(items.map(({ messages }) => ({ messages })))
    encoded.forEach(({ length }, index) => {
      const where = `${file}:${items[index]!.line}: the prompt has ${length} tokens`
      if (most !== undefined && length > most) {
        throw new AdjudgeError('CONTEXT_EXCEEDED', `${where}; expected at most ${most} (data.max_prompt_tokens)`)
      }
      if (length > room) {
        const message = `${where}; with ${answer} to answer, the model's context leaves ${room}`
        throw new AdjudgeError('CONTEXT_EXCEEDED', message)
      }
    })
  }

  /** Steps that are done, as a share of the data. */
  epochOf(step: number): number {
    return (step * this.config.rollout.prompts) / this.prompts
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.opened.splice(0).reverse()) await close()
  }
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true })
  } catch (cause) {
    const message = `${folder}: cannot be made (${(cause as Error).message}); expected a place that you may write to`
    throw new AdjudgeError('FILE_UNWRITABLE', message, { cause })
  }
}

/** How completions are sampled in a step. Each step has a seed of its own. */
export function samplingOf({ rollout, training }: RunConfig, step: number): GenerateOptions {
  return {
    n: rollout.completions,
    maxTokens: rollout.max_tokens,
    temperature: rollout.temperature,
    topK: rollout.top_k,
    topP: rollout.top_p,
    minP: rollout.min_p,
    repetitionPenalty: rollout.repetition_penalty,
    stop: rollout.stop,
    maxBatch: rollout.max_batch,
    seed: (training.seed * 1_000_003 + step) % 2 ** 48
  }
}
