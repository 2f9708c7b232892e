/** Scores a stream: work starts as inputs come, verdicts leave in input order. */

const usualWindow = 256

export async function* scoreInOrder<Input, Result>(
  inputs: Iterable<Input> | AsyncIterable<Input>,
  score: (input: Input) => Promise<Result>,
  /** Most verdicts that may be waiting or finished out of order, so that an endless input is not read to its end. */
  window = usualWindow
): AsyncGenerator<Result> {
  const pending: Promise<Result>[] = []
  const readErrors: unknown[] = []
  let ended = false
  let wake: () => void = () => undefined
  let room: () => void = () => undefined
  let stopped = false
  // Reads on while the consumer waits for the oldest verdict: inputs may come slowly, as completions do.
  const reading = (async () => {
    for await (const input of inputs) {
      if (stopped) return
      const result = score(input)
      result.catch(() => undefined)
      pending.push(result)
      wake()
      while (pending.length >= window && !stopped) await new Promise<void>((resolve) => (room = resolve))
      if (stopped) return
    }
  })()
    .catch((error: unknown) => {
      readErrors.push(error)
    })
    .finally(() => {
      ended = true
      wake()
    })
  try {
    for (;;) {
      if (pending.length > 0) {
        const result = await pending[0]
        void pending.shift()
        room()
        yield result
      } else if (ended) break
      else await new Promise<void>((resolve) => (wake = resolve))
    }
    if (readErrors.length > 0) throw readErrors[0]
  } finally {
    stopped = true
    room()
    void reading
  }
}

/** As `scoreInOrder`, but each result leaves as soon as it is there. */
export async function* scoreAsCompleted<Input, Result>(
  inputs: Iterable<Input> | AsyncIterable<Input>,
  score: (input: Input) => Promise<Result>,
  window = usualWindow
): AsyncGenerator<Result> {
  const finished: ({ result: Result } | { error: unknown })[] = []
  let running = 0
  let ended = false
  let stopped = false
  let wake: () => void = () => undefined
  let room: () => void = () => undefined
  const reading = (async () => {
    for await (const input of inputs) {
      if (stopped) return
      running++
      score(input)
        .then(
          (result) => finished.push({ result }),
          (error: unknown) => finished.push({ error })
        )
        .finally(() => {
          running--
          wake()
        })
      while (running + finished.length >= window && !stopped) await new Promise<void>((resolve) => (room = resolve))
      if (stopped) return
    }
  })()
    .catch((error: unknown) => finished.push({ error }))
    .finally(() => {
      ended = true
      wake()
    })
  try {
    for (;;) {
      const next = finished.shift()
      if (next) {
        room()
        if ('error' in next) throw next.error
        yield next.result
      } else if (ended && running === 0) return
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    stopped = true
    room()
    void reading
  }
}
