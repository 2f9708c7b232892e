/** How fast work goes and how long it takes yet, by the last half minute: what comes from a ledger goes by in a flash. */

const span = 30_000

export class Pace {
  private readonly marks: { at: number; done: number; share: number }[]

  constructor(private readonly now: () => number = () => performance.now()) {
    this.marks = [{ at: now(), done: 0, share: 0 }]
  }

  /** `share` of the whole in [0, 1]; null where the whole is unknown. */
  note(done: number, share: number | null): string {
    const { marks } = this
    const mark = { at: this.now(), done, share: share ?? 0 }
    // A mark twice a second is enough.
    if (mark.at - marks.at(-1)!.at >= 500) marks.push(mark)
    while (marks.length > 2 && mark.at - marks[1].at > span) marks.shift()
    const since = marks[0]
    const seconds = (mark.at - since.at) / 1000
    if (seconds < 0.5) return ''
    const rate = (mark.done - since.done) / seconds
    const parts = [`${rate >= 100 ? rate.toFixed(0) : rate.toPrecision(2)}/s`]
    const speed = (mark.share - since.share) / seconds
    if (share !== null && speed > 0 && share < 1) parts.push(`${duration((1 - share) / speed)} left`)
    return parts.join(', ')
  }
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3600) return `${(seconds / 3600).toFixed(1)} h`
  return `${(seconds / 86400).toFixed(1)} days`
}
