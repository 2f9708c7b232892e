/** Grades answers by program, in OpenAI's grader shapes. Needs no model: `npx jiti examples/judge-graders.ts` */
import { createGrader } from '../src/graders/index.js'

const grader = await createGrader({
  type: 'multi',
  name: 'right_and_short',
  graders: {
    right: {
      type: 'string_check',
      operation: 'ilike',
      input: '{{ sample.output_text }}',
      reference: '{{ item.capital }}'
    },
    close: {
      type: 'text_similarity',
      evaluation_metric: 'fuzzy_match',
      input: '{{ sample.output_text }}',
      reference: '{{ item.capital }}'
    },
    short: { type: 'javascript', source: 'function grade(sample) { return sample.output_text.length < 40 ? 1 : 0 }' }
  },
  calculate_output: '0.6 * right + 0.2 * close + 0.2 * short'
})

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
for (const completion of ['Paris', 'It is Paris, of course, the city of light.', 'Lyon']) {
  const { score, subScores } = await grader.grade({ messages, completion, item: { capital: 'Paris' } })
  console.log(score?.toFixed(3) ?? 'unscored', completion, subScores)
}
await grader.close()
