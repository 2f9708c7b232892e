/**
 * How many calls a key may have at its server, learned by additive increase and multiplicative decrease. Halved at most
 * once per round trip; then it grows fast to what was seen to work and stays there, trying one more only now and then:
 * a plain saw-tooth would leave a quarter of the server idle. A server that refuses as often with half as many calls
 * refuses for another reason, and slowing down would not help.
 */

/** Round trips without a refusal after which one more call is tried. */
const steadyRounds = 10
/** Calls in flight beyond which no more levels are told apart. */
const levels = 1024
/** Calls after which what was counted weighs half. */
const halfLife = 512
/** Calls with half as many in flight that say something about refusals. */
const enoughCalls = 8

/** What was true when a call was sent. */
export interface Sent {
  sequence: number
  /** Calls at the server, this one included. */
  inFlight: number
}

export class AdaptiveConcurrency {
  private size = Infinity
  /** What worked when more did not. */
  private ceiling = Infinity
  /** Calls sent before this one belong to the round trip that was already answered by a decrease. */
  private decreasedAt = 0
  private steady = 0
  private step = 1
  private counted = 0
  /** Calls, and refusals, by calls in flight when they were sent. */
  private readonly calls = new Float64Array(levels + 1)
  private readonly refusals = new Float64Array(levels + 1)

  get limit(): number {
    return Math.max(1, Math.floor(this.size))
  }

  succeeded({ inFlight }: Sent): void {
    this.count(inFlight, 0)
    if (this.size === Infinity) return
    if (this.size < this.ceiling) this.size = Math.min(this.ceiling, this.size + 1)
    else if (++this.steady >= steadyRounds * this.size) {
      this.steady = 0
      this.ceiling += this.step
      this.step *= 2
    }
  }

  /** The server refused for want of room. `sequence`: the number of the last call sent. */
  overloaded({ sequence: own, inFlight }: Sent, sequence: number): void {
    this.count(inFlight, 1)
    this.steady = 0
    this.step = 1
    if (this.helpless(inFlight)) {
      this.ceiling = Infinity
      return
    }
    const worked = Math.max(1, inFlight - 1)
    if (own <= this.decreasedAt) {
      this.ceiling = Math.min(this.ceiling, worked)
      this.size = Math.min(this.size, this.ceiling)
      return
    }
    this.ceiling = worked
    this.size = Math.max(1, Math.min(this.size, inFlight) / 2)
    this.decreasedAt = sequence
  }

  /** After an outage what was learned in it means nothing. */
  forget(): void {
    this.ceiling = Infinity
    this.steady = 0
    this.step = 1
    this.calls.fill(0)
    this.refusals.fill(0)
  }

  private count(inFlight: number, refused: 0 | 1): void {
    const level = Math.min(levels, inFlight)
    this.calls[level]!++
    this.refusals[level]! += refused
    if (++this.counted % halfLife !== 0) return
    for (let index = 0; index <= levels; index++) {
      this.calls[index]! /= 2
      this.refusals[index]! /= 2
    }
  }

  /** Whether half as many calls in flight are refused about as often. */
  private helpless(inFlight: number): boolean {
    const top = Math.min(levels, inFlight)
    const middle = Math.ceil(top / 2)
    if (middle === top) return false
    let [lowCalls, lowRefusals, highCalls, highRefusals] = [0, 0, 0, 0]
    for (let level = 1; level <= top; level++) {
      if (level <= middle) {
        lowCalls += this.calls[level]!
        lowRefusals += this.refusals[level]!
      } else {
        highCalls += this.calls[level]!
        highRefusals += this.refusals[level]!
      }
    }
    return lowCalls >= enoughCalls && lowRefusals / lowCalls >= (0.5 * highRefusals) / highCalls
  }
}
