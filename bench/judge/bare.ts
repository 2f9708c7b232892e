/** The least that a judge can do: prompt and schema as JSON, undici's `request`, the reply's JSON. No checks, no record. */
import { Pool } from 'undici'
import { answerOf, contend, inTurns, rubric } from './task.js'

const schema = {
  type: 'object',
  properties: { score: { type: 'integer', enum: [1, 2, 3, 4, 5] } },
  required: ['score'],
  additionalProperties: false
}

await contend('undici request in a bare loop', async (task) => {
  const { origin, pathname } = new URL(task.url)
  const pool = new Pool(origin, { connections: task.concurrency, pipelining: 1 })
  const result = await inTurns(task, async (index) => {
    const { question, answer } = answerOf(task.round, index)
    const body = JSON.stringify({
      model: 'bench',
      messages: [
        { role: 'system', content: `You are a strict judge. ${rubric.aim}. ${JSON.stringify(rubric.scale)}` },
        { role: 'user', content: `Question:\n${question}\n\nAnswer:\n${answer}\n\nGive {"score": …} from 1 to 5.` }
      ],
      temperature: 0,
      max_completion_tokens: 256,
      response_format: { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema } }
    })
    const reply = await pool.request({
      path: `${pathname}/chat/completions`,
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: 'Bearer none' },
      body
    })
    const completion = (await reply.body.json()) as { choices: { message: { content: string } }[] }
    const { score } = JSON.parse(completion.choices[0]!.message.content) as { score: number }
    return score >= 1 && score <= 5
  })
  await pool.close()
  return result
})
