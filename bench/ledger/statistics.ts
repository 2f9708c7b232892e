import type { Figure, Unit } from './record.js'

/** By linear interpolation between the sorted values; share 0 is the least, 1 the largest. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const place = share * (sorted.length - 1)
  const below = Math.floor(place)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below]! + (place - below) * (sorted[above]! - sorted[below]!)
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** Median and quartiles of what the rounds gave. */
export function figureOf(values: readonly number[], unit: Unit): Figure {
  return { value: median(values), low: quantile(values, 0.25), high: quantile(values, 0.75), unit }
}

/** How many times longer the one took than the other, where they did not run in turns: quartile against quartile. */
export function timesOf(theirs: readonly number[], ours: readonly number[]): Figure {
  return {
    value: median(theirs) / median(ours),
    low: quantile(theirs, 0.25) / quantile(ours, 0.75),
    high: quantile(theirs, 0.75) / quantile(ours, 0.25),
    unit: 'times'
  }
}

/** `87 % (85 to 89)`, `6.21 (6.02 to 6.40)`, `1.42 µs (1.40 to 1.51)`. */
export function words({ value, low, high, unit }: Figure): string {
  if (unit === 'of floor' || unit === 'of peak') {
    const [one, least, most] = [value, low, high].map((share) => (100 * share).toFixed(0))
    return `${one} % (${least} to ${most})`
  }
  const [one, least, most] = [value, low, high].map((number) => (number >= 100 ? number.toFixed(0) : number.toFixed(2)))
  return unit === 'µs' ? `${one} µs (${least} to ${most})` : `${one} (${least} to ${most})`
}
