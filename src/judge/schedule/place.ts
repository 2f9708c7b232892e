/** A call's place at its server: what was true when it was sent, and how it ended. */
import type { ReplyHeaders } from '../providers/provider.js'
import type { Failure } from '../retry.js'
import type { Usage } from '../types.js'
import type { Sent } from './concurrency.js'

export interface PlaceOwner {
  answered(place: Place, usage: Usage, headers: ReplyHeaders | undefined): void
  failed(place: Place, failure: Failure): void
  abandoned(place: Place): void
  released(): void
}

export interface PlaceStart extends Sent {
  startedAt: number
  /** Reserved tokens. */
  tokens: number
  /** Tokens reserved by all calls up to this one. */
  reservedBefore: number
  /** Whether the call finds out if a server that was down answers again. */
  probe: boolean
  /** Milliseconds that it waited, and whether that was for a rate limit or a pause. */
  waited: number
  limited: boolean
}

export class Place {
  private ended = false
  private released = false

  constructor(
    private readonly owner: PlaceOwner,
    readonly start: PlaceStart
  ) {}

  answered(usage: Usage, headers: ReplyHeaders | undefined): void {
    if (this.ended) return
    this.ended = true
    this.owner.answered(this, usage, headers)
  }

  failed(failure: Failure): void {
    if (this.ended) return
    this.ended = true
    this.owner.failed(this, failure)
  }

  /** Gives the place back, which may be long after the reply: when the verdict is durable. */
  release(): void {
    if (this.released) return
    this.released = true
    if (!this.ended) {
      this.ended = true
      this.owner.abandoned(this)
    }
    this.owner.released()
  }
}
