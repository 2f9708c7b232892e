/**
 * Makes the data of this example, the same bytes each time:
 *
 *     npx jiti examples/http-judge/data.ts
 *
 * `train.jsonl`, `test.jsonl`: short open questions, each with its subject's stem (for the program metric only).
 * `judge-choose.jsonl`, `judge-report.jsonl`: answers of known quality; the first chose the rubric, the second says how
 * good the judge is. No question and no answer is in both.
 */
import { writeFileSync } from 'node:fs'
import { curt, good, rude } from './known.js'

const folder = new URL('.', import.meta.url)
const article = (noun: string): string => (/^[aeiou]/.test(noun) ? 'an' : 'a')

const kinds: [ask: (noun: string) => string, nouns: string][] = [
  [
    (noun) => `What is ${article(noun)} ${noun} used for?`,
    'ladder spoon lamp basket needle mirror saw kettle bucket whistle compass pillow rope key telescope tent ' +
      'broom anchor drum pencil wheelbarrow thermometer calendar backpack shovel'
  ],
  [
    (noun) => `Where do ${noun} live?`,
    'elephants frogs whales squirrels foxes crabs lions ants polar+bears kangaroos turtles monkeys beavers ' +
      'sharks hedgehogs pandas eagles spiders tigers snails'
  ],
  [
    (noun) => `What does ${article(noun)} ${noun} do?`,
    'cook plumber sailor tailor dentist painter librarian carpenter waiter astronaut musician mechanic actor ' +
      'lifeguard journalist beekeeper electrician shepherd architect barber'
  ],
  [
    (noun) => `Why do people like ${noun}?`,
    'chocolate gardens snow stories chess picnics summer bread horses puzzles dancing the+sea flowers pizza ' +
      'sunsets football theatre photographs cheese rainbows hiking painting strawberries trains'
  ],
  [
    (noun) => `How do I take care of ${noun}?`,
    'a+rose a+puppy my+shoes a+guitar my+bicycle a+goldfish my+teeth a+lawn my+eyes a+kitten a+wooden+table ' +
      'my+hair a+bonsai an+old+book my+skin a+hamster a+houseplant a+parrot'
  ],
  [
    (noun) => `What can I do with ${noun}?`,
    'potatoes an+empty+jar old+newspapers lemons wool a+free+afternoon cardboard+boxes seashells rice buttons ' +
      'carrots a+big+garden leftover+bread pumpkins a+camera clay bananas a+sunny+day'
  ],
  [
    (noun) => `Why is ${noun} important?`,
    'friendship water+in+the+desert exercise honesty reading recycling rest kindness fresh+air teamwork patience ' +
      'history laughter a+good+diet soil sunlight practice saving+energy curiosity sleep'
  ]
]

/** Every third question of a kind is held out. */
const train: object[] = []
const test: object[] = []
for (const [ask, nouns] of kinds) {
  nouns.split(' ').forEach((spelled, index) => {
    const noun = spelled.replaceAll('+', ' ')
    const subject = noun
      .replace(/^(a|an|my|the) /, '')
      .split(' ')
      .at(-1)!
      .replace(/(ies|y|es|s|ing|e)$/, '')
    const row = { prompt: ask(noun), subject }
    ;(index % 3 === 2 ? test : train).push(row)
  })
}

/** A small generator with a fixed seed: the same shuffle everywhere. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

function shuffledWords(text: string, next: () => number): string {
  const words = text.split(' ')
  for (let index = words.length - 1; index > 0; index--) {
    const other = Math.floor(next() * (index + 1))
    ;[words[index], words[other]] = [words[other]!, words[index]!]
  }
  return words.join(' ')
}

/** The first two thirds of the words: an answer that ran into its token limit. */
function cutOff(text: string): string {
  const words = text.split(' ')
  return words
    .slice(0, Math.floor((words.length * 2) / 3))
    .join(' ')
    .replace(/[,;.]$/, '')
}

/** Even rows choose, odd rows report; so do the rude and the curt phrases. */
function known(half: 0 | 1): object[] {
  const next = random(half + 1)
  const rows = good.filter((_, index) => index % 2 === half)
  const rudes = rude.filter((_, index) => index % 2 === half)
  const curts = curt.filter((_, index) => index % 2 === half)
  return rows.flatMap(([prompt, answer], index) => {
    // Seven on, so that neighbours in the list (often of one kind) do not meet.
    const foreign = rows[(index + 7) % rows.length]![1]
    return [
      { prompt, completion: answer, kind: 'good', quality: 1 },
      { prompt, completion: foreign, kind: 'other subject', quality: 0 },
      { prompt, completion: shuffledWords(answer, next), kind: 'garbled', quality: 0 },
      { prompt, completion: rudes[index % rudes.length]!, kind: 'rude', quality: 0 },
      { prompt, completion: curts[index % curts.length]!, kind: 'curt', quality: 0 },
      { prompt, completion: cutOff(answer), kind: 'cut off', quality: 0 }
    ]
  })
}

function write(name: string, rows: object[]): void {
  writeFileSync(new URL(name, folder), rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  console.log(`${name}: ${rows.length} rows`)
}

write('train.jsonl', train)
write('test.jsonl', test)
write('judge-choose.jsonl', known(0))
write('judge-report.jsonl', known(1))
