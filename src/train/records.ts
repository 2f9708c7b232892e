/** Verdicts as they stand in our JSONL files: snake_case, absent fields left out. */
import type { Verdict } from '../judge/index.js'

/** The format number of verdict and rollout files. */
export const recordFormat = 1

export function verdictRecord(
  verdict: Pick<Verdict, 'usage' | 'id' | 'standardError' | 'members'> & { subScores?: unknown }
): Record<string, unknown> {
  const { usage, subScores, members, standardError, id: _id, ...rest } = verdict
  return {
    ...rest,
    usage: { input_tokens: usage.inputTokens, output_tokens: usage.outputTokens },
    ...(standardError === undefined ? {} : { standard_error: standardError }),
    ...(members === undefined ? {} : { members: members.map((member) => verdictRecord(member)) }),
    ...(subScores === undefined ? {} : { sub_scores: subScores })
  }
}
