/** Scores a stream: work starts as inputs come, and verdicts leave in input order or as they are there. */

type Inputs<Input> = Iterable<Input> | AsyncIterable<Input>

/** Most verdicts that may be waiting or finished out of order, so that an endless input is not read to its end. */
const usualWindow = 256

/** Reads inputs on while the consumer waits: they may come slowly, as completions do. */
class Reading<Input> {
  private ended = false
  private stopped = false
  private failure: { error: unknown } | undefined
  private wakeReader: () => void = () => undefined
  private wakeConsumer: () => void = () => undefined

  /** `held()` results are started and not yet taken. */
  constructor(inputs: Inputs<Input>, start: (input: Input) => void, held: () => number, window: number) {
    void (async () => {
      for await (const input of inputs) {
        if (this.stopped) return
        start(input)
        this.changed()
        while (held() >= window && !this.stopped) await new Promise<void>((resolve) => (this.wakeReader = resolve))
        if (this.stopped) return
      }
    })()
      .catch((error: unknown) => (this.failure = { error }))
      .finally(() => {
        this.ended = true
        this.changed()
      })
  }

  /** A result was started or has come. */
  changed(): void {
    this.wakeConsumer()
  }

  /** A result was taken. */
  room(): void {
    this.wakeReader()
  }

  /** Whether all inputs are read; throws what broke the reading. */
  over(): boolean {
    if (this.failure) throw this.failure.error
    return this.ended
  }

  change(): Promise<void> {
    return new Promise((resolve) => (this.wakeConsumer = resolve))
  }

  stop(): void {
    this.stopped = true
    this.wakeReader()
  }
}

/** Each result leaves when it and all before it are there. */
export async function* scoreInOrder<Input, Result>(
  inputs: Inputs<Input>,
  score: (input: Input) => Promise<Result>,
  window = usualWindow
): AsyncGenerator<Result> {
  const pending: Promise<Result>[] = []
  const start = (input: Input): void => {
    const result = score(input)
    // Seen when its turn comes; until then it must not count as unhandled.
    result.catch(() => undefined)
    pending.push(result)
  }
  const reading = new Reading(inputs, start, () => pending.length, window)
  try {
    for (;;) {
      if (pending.length > 0) {
        const result = await pending[0]
        void pending.shift()
        reading.room()
        yield result
      } else if (reading.over()) return
      else await reading.change()
    }
  } finally {
    reading.stop()
  }
}

/** Each result leaves as soon as it is there. */
export async function* scoreAsCompleted<Input, Result>(
  inputs: Inputs<Input>,
  score: (input: Input) => Promise<Result>,
  window = usualWindow
): AsyncGenerator<Result> {
  const finished: ({ result: Result } | { error: unknown })[] = []
  let running = 0
  const start = (input: Input): void => {
    running++
    void score(input)
      .then(
        (result) => finished.push({ result }),
        (error: unknown) => finished.push({ error })
      )
      .finally(() => {
        running--
        reading.changed()
      })
  }
  const reading = new Reading(inputs, start, () => running + finished.length, window)
  try {
    for (;;) {
      const next = finished.shift()
      if (next) {
        reading.room()
        if ('error' in next) throw next.error
        yield next.result
      } else if (running === 0 && reading.over()) return
      else await reading.change()
    }
  } finally {
    reading.stop()
  }
}
