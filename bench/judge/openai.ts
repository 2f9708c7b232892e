/** The official client with its typed parsing of a schema; what a user writes without a judge's library. */
import OpenAI from 'openai'
import { answerOf, contend, inTurns, rubric } from './task.js'

const schema = {
  type: 'object',
  properties: { score: { type: 'integer', enum: [1, 2, 3, 4, 5] } },
  required: ['score'],
  additionalProperties: false
}

await contend('openai-node', async (task) => {
  const client = new OpenAI({ baseURL: task.url, apiKey: 'none' })
  return inTurns(task, async (index) => {
    const { question, answer } = answerOf(task.round, index)
    const completion = await client.chat.completions.create({
      model: 'bench',
      messages: [
        { role: 'system', content: `You are a strict judge. ${rubric.aim}. ${JSON.stringify(rubric.scale)}` },
        { role: 'user', content: `Question:\n${question}\n\nAnswer:\n${answer}\n\nGive {"score": …} from 1 to 5.` }
      ],
      temperature: 0,
      max_completion_tokens: 256,
      response_format: { type: 'json_schema', json_schema: { name: 'verdict', strict: true, schema } }
    })
    const { score } = JSON.parse(completion.choices[0]!.message.content!) as { score: number }
    return score >= 1 && score <= 5
  })
})
