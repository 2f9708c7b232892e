/** Brings together the answers to one prompt, for modes that must see them all. */
import type { JudgeInput, Verdict } from '../types.js'
import { notSent } from './merge.js'

interface Member {
  input: JudgeInput
  resolve(verdict: Verdict): void
  reject(error: unknown): void
}

/** Answers that come one by one, in any order, each with its group's size. */
export class Gathering {
  private readonly groups = new Map<string, (Member | undefined)[][]>()

  constructor(private readonly judge: (inputs: JudgeInput[], signal?: AbortSignal) => Promise<Verdict[]>) {}

  /** Resolves when the last of the group has come and all are judged. */
  add(input: JudgeInput, signal?: AbortSignal): Promise<Verdict> {
    const { id, index, size } = input.group!
    if (signal?.aborted) return Promise.resolve(cancelled())
    return new Promise((resolve, reject) => {
      const open = this.groups.get(id) ?? []
      this.groups.set(id, open)
      // The same group may be judged twice at a time (training and evaluation): each has its own places.
      let members = open.find((group) => group.length === size && !group[index])
      if (!members) open.push((members = new Array<Member | undefined>(size).fill(undefined)))
      const stop = (): void => {
        if (members[index]?.input !== input) return
        members[index] = undefined
        resolve(cancelled())
        if (members.every((member) => !member)) this.drop(id, members)
      }
      signal?.addEventListener('abort', stop, { once: true })
      const done = (act: () => void): void => (signal?.removeEventListener('abort', stop), act())
      members[index] = {
        input,
        resolve: (verdict) => done(() => resolve(verdict)),
        reject: (error) => done(() => reject(error as Error))
      }
      if (members.every((member) => member)) {
        this.drop(id, members)
        void this.run([...members] as Member[], signal)
      }
    })
  }

  /** Answers whose group never came together are given up. */
  close(): void {
    for (const open of this.groups.values()) {
      for (const members of open) for (const member of members) member?.resolve(cancelled())
    }
    this.groups.clear()
  }

  private drop(id: string, members: (Member | undefined)[]): void {
    const open = (this.groups.get(id) ?? []).filter((group) => group !== members)
    if (open.length > 0) this.groups.set(id, open)
    else this.groups.delete(id)
  }

  private async run(members: readonly Member[], signal: AbortSignal | undefined): Promise<void> {
    try {
      const verdicts = await this.judge(
        members.map(({ input }) => input),
        signal
      )
      members.forEach((member, index) => member.resolve(verdicts[index]))
    } catch (error) {
      for (const member of members) member.reject(error)
    }
  }
}

const cancelled = (): Verdict => notSent('cancelled', 'the run was cancelled')

const keyOf = ({ group, messages }: JudgeInput): string => (group ? `g${group.id}` : `m${JSON.stringify(messages)}`)

/** Places of inputs that belong together, wherever they stand. */
export function togetherOf(inputs: readonly JudgeInput[]): number[][] {
  const places = new Map<string, number[]>()
  inputs.forEach((input, index) => {
    const key = keyOf(input)
    const known = places.get(key)
    if (known) known.push(index)
    else places.set(key, [index])
  })
  return [...places.values()]
}

/** Runs of neighbours that belong together: a stream is not held to look for others. */
export async function* runsOf(inputs: Iterable<JudgeInput> | AsyncIterable<JudgeInput>): AsyncGenerator<JudgeInput[]> {
  let run: JudgeInput[] = []
  let runKey: string | undefined
  for await (const input of inputs) {
    const key = keyOf(input)
    if (key !== runKey && run.length > 0) {
      yield run
      run = []
    }
    runKey = key
    run.push(input)
  }
  if (run.length > 0) yield run
}
