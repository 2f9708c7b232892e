/**
 * How many calls a key may have at its server, learned by additive increase and multiplicative decrease. Halved at most
 * once per round trip; then it grows fast to what was seen to work and stays there, trying one more only now and then:
 * a plain saw-tooth would leave a quarter of the server idle. Each decrease is a trial: where as large a share is
 * refused afterwards, the server refuses for another reason, and slowing down would not help.
 */

/** Round trips without a refusal after which one more call is tried. */
const steadyRounds = 10
/** Calls that a trial takes, at least. */
const trialCalls = 16
/** Round trips for which refusals are taken for chance, after one trial and after several in a row. */
const chanceRounds = { first: 20, most: 640 }

/** What was true when a call was sent. */
export interface Sent {
  sequence: number
  /** Calls at the server, this one included. */
  inFlight: number
}

class Share {
  calls = 0
  refusals = 0

  add(refused: 0 | 1): void {
    this.calls++
    this.refusals += refused
  }

  get value(): number {
    return this.calls > 0 ? this.refusals / this.calls : 0
  }
}

interface Trial {
  /** The last call that was sent before the decrease. */
  sequence: number
  /** Calls in flight before it. */
  level: number
  before: Share
  after: Share
}

export class AdaptiveConcurrency {
  private size = Infinity
  /** What worked when more did not. */
  private ceiling = Infinity
  /** What worked before one more was tried. */
  private proven = Infinity
  /** Calls sent before this one belong to the round trip that was already answered by a decrease. */
  private decreasedAt = 0
  private steady = 0
  private step = 1
  private trial: Trial | undefined
  /** Refusals of calls up to this one are chance, as long as there are not many more of them. */
  private chance = { until: 0, share: 0, rounds: chanceRounds.first, seen: new Share() }

  get limit(): number {
    return Math.max(1, Math.floor(this.size))
  }

  succeeded(sent: Sent): void {
    this.observe(sent, 0)
    // A trial is to show what the smaller number does.
    if (this.size === Infinity || this.trial) return
    if (this.size < this.ceiling) this.size = Math.min(this.ceiling, this.size + 1)
    else if (++this.steady >= steadyRounds * this.size) {
      this.steady = 0
      this.proven = this.ceiling
      this.ceiling += this.step
      this.step *= 2
    }
  }

  /** The server refused for want of room. `last`: the number of the last call sent; `inFlight`: calls left at the server. */
  overloaded(sent: Sent, last: number, inFlight: number): void {
    this.observe(sent, 1)
    this.steady = 0
    this.step = 1
    if (sent.sequence <= this.chance.until) return
    // Calls that are sent together arrive in any order: what is still being answered counts as well.
    const worked = Math.max(1, sent.inFlight - 1, inFlight)
    if (sent.sequence <= this.decreasedAt) {
      this.ceiling = Math.min(this.ceiling, worked)
      this.size = Math.min(this.size, this.ceiling)
    } else if (this.size > this.proven && sent.inFlight > this.proven) {
      // One more was tried, and was one too many: nothing else has changed.
      this.ceiling = this.size = this.proven
      this.proven = Infinity
      this.decreasedAt = last
    } else if (!this.trial) {
      this.ceiling = worked
      this.proven = Infinity
      this.size = Math.max(1, Math.min(this.size, sent.inFlight) / 2)
      this.decreasedAt = last
      this.trial = { sequence: last, level: sent.inFlight, before: new Share(), after: new Share() }
      this.trial.before.add(1)
    }
  }

  /** After an outage what was learned in it means nothing. */
  forget(): void {
    this.ceiling = this.proven = Infinity
    this.steady = 0
    this.step = 1
    this.trial = undefined
  }

  private observe({ sequence }: Sent, refused: 0 | 1): void {
    const { chance, trial } = this
    if (sequence <= chance.until) {
      chance.seen.add(refused)
      if (chance.seen.calls >= trialCalls) {
        // Many more than by chance: then something has changed.
        if (chance.seen.value > 2 * chance.share + 0.1) chance.until = 0
        chance.seen = new Share()
      }
    }
    if (!trial) return
    if (sequence > trial.sequence) trial.after.add(refused)
    else if (sequence > trial.sequence - trial.level) trial.before.add(refused)
    if (trial.after.calls >= Math.max(trialCalls, this.size)) this.conclude(trial, sequence)
  }

  private conclude({ before, after, level }: Trial, sequence: number): void {
    this.trial = undefined
    const [was, is] = [before.value, after.value]
    // A server that is far too full refuses nearly as large a share of half as many calls, but answers more of them.
    const same = is <= 0.5 && is >= 0.5 * was && is <= 2 * was + 0.1 && 1 - is <= 1.5 * (1 - was)
    if (!same) {
      this.chance.rounds = chanceRounds.first
      return
    }
    this.ceiling = this.proven = Infinity
    this.size = Math.max(this.size, level)
    const { rounds } = this.chance
    this.chance = {
      until: sequence + rounds * level,
      share: (before.refusals + after.refusals) / (before.calls + after.calls),
      rounds: Math.min(chanceRounds.most, 2 * rounds),
      seen: new Share()
    }
  }
}
