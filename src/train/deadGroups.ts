/** Warns when groups stop teaching: where all completions of a prompt have the same reward, the advantage is 0. */

const window = 5
const tooMany = 0.7

const curesOfSamples =
  'a higher rollout.temperature; more rollout.completions; prompts that the model gets right now and then; '
const otherCures =
  '; preset reinforce with baseline: batch, which learns from such groups too; an entropy bonus ' +
  '(algorithm.entropy.coefficient).'

export class DeadGroupWatch {
  private readonly recent: number[] = []
  private quietUntil = 0

  /** `closed`: the completions are a closed set of answers. */
  constructor(private readonly closed = false) {}

  /** A warning with cures where most groups of the last steps were dead; at most one in 20 steps. */
  see(step: number, share: number): string | undefined {
    this.recent.push(share)
    if (this.recent.length > window) this.recent.shift()
    const mean = this.recent.reduce((sum, one) => sum + one, 0) / this.recent.length
    if (this.recent.length < window || mean < tooMany || step < this.quietUntil) return undefined
    this.quietUntil = step + 20
    return (
      `${Math.round(mean * 100)} % of the groups of the last ${window} steps are dead (all completions of a prompt have ` +
      'the same reward) and teach nothing. Cures: ' +
      (this.closed ? '' : curesOfSamples) +
      'a finer reward (a judge with a scale instead of right or wrong)' +
      (this.closed ? '; choices that the judge tells apart.' : otherCures)
    )
  }
}
