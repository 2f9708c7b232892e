/** Intervals at 95 %: of a mean by Student's t, of a share by Wilson. */

export interface Interval {
  low: number
  high: number
}

/** Wilson's score interval (1927) of `successes` in `trials`; a tie may count as half a success. Null without trials. */
export function wilsonInterval(successes: number, trials: number): Interval | null {
  if (trials === 0) return null
  const z2 = normal975 ** 2
  const share = successes / trials
  const centre = share + z2 / (2 * trials)
  const reach = normal975 * Math.sqrt((share * (1 - share)) / trials + z2 / (4 * trials * trials))
  const scale = 1 + z2 / trials
  return { low: Math.max(0, (centre - reach) / scale), high: Math.min(1, (centre + reach) / scale) }
}

const normal975 = 1.959963984540054

/** The 97.5 % quantile of Student's t: closed for 1 and 2 degrees of freedom, Hill's expansion (1970) above. */
export function studentT975(degrees: number): number {
  const p = 0.05
  if (degrees < 1) return Infinity
  if (degrees === 1) return 1 / Math.tan((p * Math.PI) / 2)
  if (degrees === 2) return Math.sqrt(2 / (p * (2 - p)) - 2)
  const a = 1 / (degrees - 0.5)
  const b = (48 / a) * (1 / a)
  const c = (((20700 * a) / b - 98) * a - 16) * a + 96.36
  const d = ((94.5 / (b + c) - 3) / b + 1) * Math.sqrt((a * Math.PI) / 2) * degrees
  let y = (d * p) ** (2 / degrees)
  if (y > 0.05 + a) {
    const x = -normal975
    y = x * x
    const c2 = degrees < 5 ? c + 0.3 * (degrees - 4.5) * (x + 0.6) : c
    const c3 = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c2
    y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c3 - y - 3) / b + 1) * x
    y = Math.expm1(a * y * y)
  } else {
    y =
      ((1 / (((degrees + 6) / (degrees * y) - 0.089 * d - 0.822) * (degrees + 2) * 3) + 0.5 / (degrees + 4)) * y - 1) *
        ((degrees + 1) / (degrees + 2)) +
      1 / y
  }
  return Math.sqrt(degrees * y)
}
