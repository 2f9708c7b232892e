/** A run judged by a cascade with a panel, within a budget. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, train, type TrainEvent } from '../../src/train/index.js'
import { answerIn, score, startServer, type TestServer } from '../judge/server.js'

const example = fileURLToPath(new URL('../../examples/judges.yaml', import.meta.url))

let folder: string
let server: TestServer
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-judges-'))
  // Longer answers are better, and one of the models is milder.
  server = await startServer((body) => ({
    content: score(Math.min(5, 1 + Math.floor(answerIn(body).length / 40) + (body.model === 'gpt-5-mini' ? 1 : 0)))
  }))
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const member = (path: string): string[] => [
  `rewards.0.judge.cascade.2.panel.${path}.base_url=${server.url}`,
  `rewards.0.judge.cascade.2.panel.${path}.price_table={gpt-5-mini: {input: 0.25, output: 2}, gpt-4.1-mini: {input: 0.4, output: 1.6}}`
]
async function run(set: string[], resume = false): Promise<TrainEvent[]> {
  const all = [
    ...member('0'),
    ...member('1'),
    `runs=${folder}`,
    'training.steps=3',
    'rollout.prompts=2',
    'rollout.max_tokens=16',
    ...set
  ]
  const events: TrainEvent[] = []
  for await (const event of train(loadConfig(example, all), { resume })) events.push(event)
  return events
}
const lines = (path: string): Record<string, unknown>[] =>
  readFileSync(join(folder, 'judges', path), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

interface Row {
  reward: number | null
  verdicts: { helpful: { score: number | null; members: { name: string; because: string; members?: object[] }[] } }
}

describe('the example of judges made of judges', () => {
  it('learns from verdicts whose way through the cascade is in the rollouts', async () => {
    const events = await run(['rewards.0.judge.escalate={spread: 1.2, disagreement: 0.5, audit: 0.2}'])
    expect(events.at(-1)).toMatchObject({ type: 'done', reason: 'finished', step: 3 })
    const rows = lines('rollouts/step-000001.jsonl') as unknown as Row[]
    expect(rows).toHaveLength(16)
    expect(rows.every(({ reward }) => reward !== null)).toBe(true)
    const asked = rows.map(({ verdicts }) => verdicts.helpful.members)
    expect(asked.every(([first, second]) => first!.because === 'first' && second !== undefined)).toBe(true)
    const third = asked.flatMap((members) => members[2] ?? [])
    expect(third.length).toBeGreaterThan(0)
    expect(third.every(({ name, members }) => name === 'panel' && members!.length === 2)).toBe(true)
    // The panel's second member votes three times.
    expect(server.requests.filter(({ model }) => model === 'gpt-4.1-mini').length).toBe(
      3 * server.requests.filter(({ model }) => model === 'gpt-5-mini').length
    )
    const [metrics] = lines('metrics.jsonl')
    expect(metrics).toMatchObject({
      'judge/cost': expect.any(Number),
      'rewards/helpful/stage_agreement': expect.any(Number)
    })
  })

  it('stops between steps where the budget is spent, and goes on as if it had not', async () => {
    // No audit by timing: which answers are asked about follows from their text.
    const escalate = 'rewards.0.judge.escalate={audit: 1}'
    const free = await run([escalate, 'name=free', 'rewards.0.judge.canaries=0'])
    const rewards = (events: TrainEvent[]): unknown[] =>
      events.flatMap((event) => (event.type === 'step' ? [[event.step, event.metrics['reward']]] : []))
    const each = server.requests.length / 3
    const limited = [escalate, 'rewards.0.judge.canaries=0', `budget={tokens: ${Math.ceil(each * 1.5 * 110 + 1000)}}`]
    const before = server.requests.length
    const first = await run(limited)
    expect(first.at(-1)).toMatchObject({
      type: 'done',
      reason: 'budget',
      detail: expect.stringMatching(/the budget of/)
    })
    const { step } = first.at(-1) as { step: number }
    expect(step).toBeGreaterThan(0)
    expect(step).toBeLessThan(3)
    expect((server.requests.length - before) * 110).toBeLessThanOrEqual(each * 1.5 * 110 + 1001)
    expect(readdirSync(join(folder, 'judges', 'checkpoints'))).toEqual([`step-00000${step}`])
    const second = await run([escalate, 'rewards.0.judge.canaries=0', 'budget={tokens: 1000000}'], true)
    expect(second.at(-1)).toMatchObject({ reason: 'finished', step: 3 })
    expect([...rewards(first), ...rewards(second)]).toEqual(rewards(free))
    // What was paid for in the step that was left undone was not asked for again.
    expect(server.requests.length - before).toBe(before)
  })
})

describe('a judge that sees all answers to a prompt together', () => {
  it('is asked once for a prompt, when the last answer has come', async () => {
    await server.close()
    const groups = new Set<string>()
    server = await startServer((body) => {
      const user = body.messages.find(({ role }) => role === 'user')!.content
      groups.add(user)
      const names = [...user.matchAll(/<<<BEGIN ANSWER ([a-z]+) \w+>>>/g)].map(([, name]) => name!)
      return { content: JSON.stringify(Object.fromEntries(names.map((name, index) => [name, 1 + (index % 5)]))) }
    })
    const judge = `{provider: openai, model: m, base_url: "${server.url}", mode: group, rubric: {aim: Replies, scale: {low: 1, high: 5}}}`
    const config = loadConfig(example, [
      `rewards=[{name: helpful, judge: ${judge}}]`,
      'budget={tokens: 1000000}',
      `runs=${folder}`,
      'training.steps=2',
      'rollout.prompts=2',
      'rollout.max_tokens=16'
    ])
    for await (const _ of train(config)) void _
    const rows = lines('rollouts/step-000001.jsonl') as unknown as Row[]
    expect(rows.every(({ reward }) => reward !== null)).toBe(true)
    expect(new Set(rows.map(({ reward }) => reward)).size).toBeGreaterThan(1)
    expect(server.requests.length).toBe(groups.size)
    expect(groups.size).toBeLessThanOrEqual(2 * 2)
  })
})
