/** What runs in JavaScript between the native calls (benny). */
import benny from 'benny'
import { createGrader, Policy } from 'adjudge'

const help = 'npm run bench -- javascript [MODEL_FOLDER]      (the model that the package carries)'

export async function main(args: string[]): Promise<void> {
  if (args.includes('--help')) return console.log(help)
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
  await benny.suite(
    `JavaScript between the native calls; text of ${text.length} characters, ${tokens.length} tokens`,
    benny.add('chat template', () => policy.renderChat(messages)),
    benny.add('encode', () => policy.tokenizer.encode(text)),
    benny.add('decode', () => policy.tokenizer.decode(tokens)),
    benny.add('grader string_check', async () => exact.grade(input)),
    benny.add('grader text_similarity (fuzzy_match)', async () => similarity.grade(input)),
    benny.cycle(),
    benny.complete()
  )
  await similarity.close()
  await exact.close()
}
