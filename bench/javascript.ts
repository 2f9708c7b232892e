/** What runs in JavaScript between the native calls (benny). */
import { createGrader, Policy } from 'adjudge'
import { microseconds, runCases } from './cases.js'
import type { Figures } from './ledger/record.js'

const help = 'npm run bench -- javascript [MODEL_FOLDER]      (the model that the package carries)'

export async function main(args: string[]): Promise<Figures | undefined> {
  if (args.includes('--help')) return void console.log(help)
  using policy = await Policy.load(args[0] ?? 'assets/policy', { trainable: false })
  const content = 'where is my lamp? I have waited a week. It was a gift. '.repeat(8)
  const messages = [{ role: 'user' as const, content }]
  const text = policy.renderChat(messages)
  const tokens = policy.tokenizer.encode(text)
  const similarity = await createGrader({
    type: 'text_similarity',
    evaluation_metric: 'fuzzy_match',
    input: '{{ sample.output_text }}',
    reference: '{{ item.answer }}'
  })
  const exact = await createGrader({
    type: 'string_check',
    operation: 'ilike',
    input: '{{ sample.output_text }}',
    reference: '{{ item.answer }}'
  })
  const input = { messages, completion: content, item: { answer: content.replaceAll('lamp', 'table') } }
  const samples = await runCases(
    `JavaScript between the native calls; text of ${text.length} characters, ${tokens.length} tokens`,
    {
      'chat template': () => policy.renderChat(messages),
      encode: () => policy.tokenizer.encode(text),
      decode: () => policy.tokenizer.decode(tokens),
      'grader string_check': async () => exact.grade(input),
      'grader text_similarity (fuzzy_match)': async () => similarity.grade(input)
    }
  )
  await similarity.close()
  await exact.close()
  // Another model has other texts and tokens: only the package's own is worth a line of the ledger.
  if (args[0]) return undefined
  return Object.fromEntries(Object.entries(samples).map(([name, seconds]) => [name, microseconds(seconds)]))
}
