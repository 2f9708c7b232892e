/** One rollout: completions are sampled, and each goes to the judges as it finishes, while others still generate. */
import type { DataItem } from '../data/index.js'
import type { JudgeInput } from '../judge/index.js'
import type { Policy } from '../policy/policy.js'
import type { Completion, GenerateOptions, Group } from '../policy/types.js'
import { verdictRecord, recordFormat } from './records.js'
import { allJudged, type Rewarded, type Rewards } from './rewards.js'

export interface Rollout {
  items: DataItem[]
  groups: Group[]
  /** [groups][completions]. */
  rewarded: Rewarded[][]
  /** [groups][completions], where the completions are a closed set of answers: of each, normalised over the set. */
  probabilities?: number[][]
  /** The greedy answer to each prompt, judged, where the algorithm has its reward for a baseline (ReMax). */
  greedy?: Rollout
  /** Milliseconds until the last completion was there, and from then until the last verdict was. */
  generation: number
  waiting: number
}

/** Throws what the engine throws, and LEDGER_WRITE; a judge's failure is an unscored verdict. */
export async function rollOut(
  policy: Policy,
  items: DataItem[],
  rewards: Rewards,
  options: GenerateOptions,
  name: string
): Promise<Rollout> {
  const started = performance.now()
  const scoring: Promise<Rewarded>[][] = items.map(() => [])
  const onCompletion = (completion: Completion, prompt: number, index: number): void => {
    const input = judgeInput(items[prompt]!, completion.text, { prompt, index, size: options.n ?? 1, name })
    const scored = rewards.score(input)
    // Seen below, when all are awaited; until then it must not count as unhandled.
    scored.catch(() => undefined)
    scoring[prompt]![index] = scored
  }
  const prompts = items.map(({ messages }) => ({ messages }))
  const groups = await policy.generate(prompts, { ...options, onCompletion })
  const generated = performance.now()
  const rewarded = await allJudged(scoring)
  return { items, groups, rewarded, generation: generated - started, waiting: performance.now() - generated }
}

/** What the judges see of an answer. */
export function judgeInput(
  { id, messages, item, reference }: DataItem,
  completion: string,
  place: { prompt: number; index: number; size: number; name: string }
): JudgeInput {
  return {
    id,
    messages,
    completion,
    item,
    ...(reference === undefined ? {} : { reference }),
    group: { id: `${place.name}-${place.prompt}`, index: place.index, size: place.size }
  }
}

/** One line per completion, as rollouts and evaluations are written. */
export function rolloutRecords(rollout: Rollout, rewards: Rewards, step: number): object[] {
  return rollout.groups.flatMap(({ completions }, prompt) =>
    completions.map((completion, index) => {
      const { verdicts, reward } = rollout.rewarded[prompt]![index]!
      const { id, messages, item } = rollout.items[prompt]!
      return {
        format: recordFormat,
        step,
        id,
        index,
        messages,
        item,
        completion: completion.text,
        tokens: completion.tokens.length,
        ...(rollout.probabilities
          ? { probability: rollout.probabilities[prompt]![index]! }
          : { finish_reason: completion.finishReason }),
        reward,
        ...(rollout.greedy ? { greedy_reward: rollout.greedy.rewarded[prompt]![0]!.reward } : {}),
        verdicts: Object.fromEntries(
          rewards.columns.map(({ name }, column) => [name, verdictRecord(verdicts[column]!)])
        )
      }
    })
  )
}
