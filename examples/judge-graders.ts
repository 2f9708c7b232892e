/**
 * Grades answers in OpenAI's grader shapes.
 *
 *     npx jiti examples/judge-graders.ts                              by program alone
 *     npx jiti examples/judge-graders.ts PROVIDER MODEL [URL]         and by a model: native, openai, anthropic, ollama
 */
import { createGrader, providerNames, type GraderSpec } from 'adjudge'

const [name, model, baseURL] = process.argv.slice(2)
const provider = providerNames.find((one) => one === name)
const asked: Record<string, GraderSpec> = model
  ? {
      clear: {
        type: 'score_model',
        model,
        range: [1, 5],
        input: [{ role: 'user', content: 'Rate from 1 to 5 how clear this answer is: {{ sample.output_text }}' }]
      },
      civil: {
        type: 'label_model',
        model,
        labels: ['polite', 'rude'],
        passing_labels: ['polite'],
        input: [{ role: 'user', content: 'Is this polite or rude? {{ sample.output_text }}' }]
      }
    }
  : {}

const spec: GraderSpec = {
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
    short: { type: 'javascript', source: 'function grade(sample) { return sample.output_text.length < 40 ? 1 : 0 }' },
    ...asked
  },
  calculate_output: `0.6 * right + 0.2 * close + 0.2 * short${model ? ' + 0.05 * clear + 0.1 * civil' : ''}`
}
const grader = await createGrader(spec, provider ? { judge: { provider, ...(baseURL ? { baseURL } : {}) } } : {})

const messages = [{ role: 'user' as const, content: 'What is the capital of France?' }]
for (const completion of ['Paris', 'It is Paris, of course, the city of light.', 'Lyon']) {
  const { score, subScores } = await grader.grade({ messages, completion, item: { capital: 'Paris' } })
  console.log(score?.toFixed(3) ?? 'unscored', completion, subScores)
}
await grader.close()
