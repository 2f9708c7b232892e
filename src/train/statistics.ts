/** Mean and spread of scores; unscored ones (null) are left out and counted. */
export interface Summary {
  /** Scored and unscored together. */
  items: number
  scored: number
  unscored: number
  /** null where nothing is scored. */
  mean: number | null
  /** Sample standard deviation (n - 1); null below two scores. */
  deviation: number | null
  /** Standard error of the mean: deviation / sqrt(scored). */
  standardError: number | null
}

export function summarize(scores: readonly (number | null)[]): Summary {
  const present = scores.filter((score) => score !== null)
  const scored = present.length
  const mean = scored === 0 ? null : present.reduce((sum, score) => sum + score, 0) / scored
  const deviation =
    mean === null || scored < 2
      ? null
      : Math.sqrt(present.reduce((sum, score) => sum + (score - mean) ** 2, 0) / (scored - 1))
  return {
    items: scores.length,
    scored,
    unscored: scores.length - scored,
    mean,
    deviation,
    standardError: deviation === null ? null : deviation / Math.sqrt(scored)
  }
}

/** How often each reason stands behind an unscored verdict, the most frequent first. */
export function countReasons(verdicts: readonly { score: number | null; reason?: string }[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const { score, reason = 'unknown' } of verdicts) {
    if (score === null) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  }
  return [...counts].sort((a, b) => b[1] - a[1])
}
