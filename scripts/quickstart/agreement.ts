/** How well scores agree with the truth. */
export interface Pair {
  truth: number
  score: number
}

export const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

export function correlation(pairs: Pair[]): number {
  const truthMean = mean(pairs.map(({ truth }) => truth))
  const scoreMean = mean(pairs.map(({ score }) => score))
  let both = 0
  let truths = 0
  let scores = 0
  for (const { truth, score } of pairs) {
    both += (truth - truthMean) * (score - scoreMean)
    truths += (truth - truthMean) ** 2
    scores += (score - scoreMean) ** 2
  }
  return both / Math.sqrt(truths * scores)
}

/** Probability that a reply of truth 5 is scored above another one; ties count half. */
export function areaUnderCurve(pairs: Pair[]): number {
  const good = pairs.filter(({ truth }) => truth === 5)
  const rest = pairs.filter(({ truth }) => truth !== 5)
  let above = 0
  for (const one of good)
    for (const other of rest) above += one.score > other.score ? 1 : one.score === other.score ? 0.5 : 0
  return above / (good.length * rest.length)
}
