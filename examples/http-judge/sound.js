/**
 * The program metric of this example: is an answer sound, whatever the judge thinks of it? The judge is told none of
 * this. 1 where all hold, 0 otherwise; the parts are in the record's `criteria`.
 *
 * @param {{ completion: { text: string }, item: { subject: string } }} input `subject` is the stem of the word that the
 *   question is about.
 */
export default function sound({ completion, item }) {
  const text = completion.text.trim()
  const words = text.toLowerCase().match(/[a-z']+/g) ?? []
  const sentences = text.split(/(?<=[.!?])\s+/).filter((part) => part !== '')
  const triples = words.slice(2).map((_, index) => words.slice(index, index + 3).join(' '))
  const checks = {
    // The question's subject is named: the stem and at most three letters more.
    subject: new RegExp(`\\b${item.subject}[a-z]{0,3}\\b`, 'i').test(text),
    // It ends as a sentence ends, after one or two of them.
    complete: /[.!?]["')]?$/.test(text) && sentences.length <= 2,
    // It says something: neither a word or two nor a list.
    length: words.length >= 6 && words.length <= 60 && !text.includes('\n'),
    // No three words come twice.
    fresh: new Set(triples).size === triples.length
  }
  const criteria = Object.fromEntries(Object.entries(checks).map(([name, holds]) => [name, holds ? 1 : 0]))
  return { score: Object.values(checks).every(Boolean) ? 1 : 0, criteria }
}
