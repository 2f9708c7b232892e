/** What every contender of this suite is asked to do, and the answers that are judged. */
import { createInterface } from 'node:readline'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'

/** One line of a contender's input. */
export interface Task {
  /** With the server's delay and form of reply in its path, ending in /v1. */
  url: string
  verdicts: number
  concurrency: number
  /** Other answers in each round: none was judged before. */
  round: number
  /** A verdict is asked for when another is there, and timed; otherwise answers stream. */
  timed: boolean
}

export interface Result {
  seconds: number
  /** Processor time of the contender, its threads and children: seconds. */
  cpu: number
  /** Verdicts with a score. */
  scored: number
  /** Longest time that the event loop stood still: milliseconds; 0 for a contender without one. */
  stall: number
  /** Milliseconds of each verdict, where timed. */
  latencies: number[]
}

export const rubric = {
  aim: 'How well the answer helps the one who asked',
  scale: {
    low: 1,
    high: 5,
    anchors: {
      1: 'wrong, or beside the question',
      3: 'right in the main, with gaps or padding',
      5: 'right, complete and to the point'
    }
  }
}

export interface Answer {
  question: string
  answer: string
}

const paragraph =
  'The tide follows the moon, since water on the near side is drawn more strongly than the earth beneath it, and the ' +
  'earth more strongly than the water on the far side. Two bulges stand on opposite sides while the earth turns under ' +
  'them, so most coasts see two high and two low waters in a day of almost twenty-five hours. The sun does the same ' +
  'with less than half the force: where both pull in one line the range is largest, at right angles it is least. '

/** Of about 900 characters, each with its own first words. */
export function answerOf(round: number, index: number): Answer {
  return {
    question: `Question ${index} of round ${round}: why are there two tides a day, and why do they vary over the month?`,
    answer: `Answer ${index}.${round}. ${paragraph}${paragraph}`
  }
}

/** One question at a time, from each of `concurrency` askers. */
export async function inTurns(task: Task, ask: (index: number) => Promise<boolean>): Promise<Partial<Result>> {
  let next = 0
  let scored = 0
  const latencies: number[] = []
  const asker = async (): Promise<void> => {
    while (next < task.verdicts) {
      const index = next++
      const began = performance.now()
      if (await ask(index)) scored++
      if (task.timed) latencies.push(performance.now() - began)
    }
  }
  await Promise.all(Array.from({ length: task.concurrency }, asker))
  return { scored, latencies }
}

/** Does a task for each line of the input, and says what it took. */
export async function contend(ready: string, run: (task: Task) => Promise<Partial<Result>>): Promise<void> {
  const send = (value: object) => process.stdout.write(JSON.stringify(value) + '\n')
  send({ ready })
  for await (const line of createInterface({ input: process.stdin })) {
    const task = JSON.parse(line) as Task
    const delay = monitorEventLoopDelay({ resolution: 1 })
    const cpu = process.cpuUsage()
    const began = performance.now()
    delay.enable()
    const found = await run(task)
    delay.disable()
    const seconds = (performance.now() - began) / 1000
    const { user, system } = process.cpuUsage(cpu)
    // The histogram holds whole turns of its own timer of 1 ms.
    const stall = Math.max(0, delay.max / 1e6 - 1)
    send({ seconds, cpu: (user + system) / 1e6, scored: 0, stall, latencies: [], ...found } satisfies Result)
  }
}
