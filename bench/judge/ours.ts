/** adjudge, all of it: rubric, schema, validation, and a ledger that holds each verdict durably before it is used. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createJudge, type JudgeInput } from 'adjudge'
import { answerOf, contend, inTurns, rubric, type Task } from './task.js'

const inputOf = (task: Task, index: number): JudgeInput => {
  const { question, answer } = answerOf(task.round, index)
  return { messages: [{ role: 'user', content: question }], completion: answer }
}

function* inputs(task: Task): Generator<JudgeInput> {
  for (let index = 0; index < task.verdicts; index++) yield inputOf(task, index)
}

await contend('adjudge with a ledger', async (task) => {
  const folder = mkdtempSync(join(tmpdir(), 'adjudge-bench-'))
  const judge = await createJudge({
    provider: 'openai',
    model: 'bench',
    baseURL: task.url,
    apiKey: 'none',
    rubric,
    concurrency: task.concurrency,
    logProbs: 'never',
    ledger: join(folder, 'ledger')
  })
  try {
    if (task.timed) {
      return await inTurns(task, async (index) => (await judge.scoreOne(inputOf(task, index))).score !== null)
    }
    let scored = 0
    for await (const verdict of judge.score(inputs(task))) if (verdict.score !== null) scored++
    return { scored }
  } finally {
    await judge.close()
    rmSync(folder, { recursive: true })
  }
})
