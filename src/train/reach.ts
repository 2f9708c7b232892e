/** Whether the judges' servers answer at all, before a run depends on them. */
import { AdjudgeError } from '../errors.js'
import { membersOf, probeProvider, type ProviderName, type ServerPresetName } from '../judge/index.js'
import type { RewardConfig } from './schema.js'

interface Server {
  reward: string
  provider: ProviderName
  baseURL?: string
  preset?: ServerPresetName
}

function serverOf({ name, judge, grader }: RewardConfig): Server[] {
  const asks =
    judge ?? (/^(score|label)_model$/.test(grader?.type ?? '') ? (grader as Record<string, unknown>) : undefined)
  if (!asks) return []
  const each = judge ? membersOf(judge).map((member) => member.judge) : [asks]
  return each.map((one) => {
    const { provider = 'openai', base_url: baseURL, preset } = one as Record<string, unknown>
    return {
      reward: name,
      provider: provider as ProviderName,
      ...(typeof baseURL === 'string' ? { baseURL } : {}),
      ...(typeof preset === 'string' ? { preset: preset as ServerPresetName } : {})
    }
  })
}

/** Asks nothing of a model. Throws JUDGE_UNREACHABLE, which names the reward, the address, and what to do. */
export async function checkReachable(rewards: readonly RewardConfig[]): Promise<void> {
  await Promise.all(
    rewards.flatMap(serverOf).map(async ({ reward, ...server }) => {
      const { reachable, detail, timedOut } = await probeProvider(server)
      // A busy server is slow to answer; whether it is there at all, its first verdict shows.
      if (reachable || timedOut) return
      throw new AdjudgeError(
        'JUDGE_UNREACHABLE',
        `reward ${reward}: the judge's server does not answer: ${detail}\n` +
          'Start it, or correct base_url; then try again (adjudge doctor shows which servers answer)'
      )
    })
  )
}
