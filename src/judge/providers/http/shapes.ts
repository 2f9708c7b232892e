/** How reward servers are asked and answer. One file of facts; what comes back is checked, nothing is made up. */
import { textOf } from '../../content.js'
import type { Material } from '../../question.js'

export const rewardShapes = ['openrlhf', 'trl', 'verl', 'nova'] as const

export type RewardShape = (typeof rewardShapes)[number]

/** One reward as it came, checked later: a missing one is undefined. */
export interface Rewarded {
  reward: unknown
  /** Further numbers that the server gave with it. */
  metrics?: Record<string, number>
}

export interface ShapeFormat {
  /** Where the address has no path of its own. */
  path: string
  /** Answers in one request, at most. */
  batch: number
  body(materials: readonly Material[], ids: readonly string[]): unknown
  /** In the order asked. Throws an error that says what is wrong with the reply as a whole. */
  read(reply: unknown, ids: readonly string[]): Rewarded[]
}

const lastUser = ({ messages }: Material): string =>
  textOf(messages.findLast(({ role }) => role === 'user')?.content ?? '')

/** A single user turn is its text; more are `role: text` lines. */
const promptText = (material: Material): string =>
  material.messages.length === 1
    ? lastUser(material)
    : material.messages.map(({ role, content }) => `${role}: ${textOf(content)}`).join('\n')

const chat = ({ messages }: Material): { role: string; content: string }[] =>
  messages.map(({ role, content }) => ({ role, content: textOf(content) }))

const label = ({ reference, item }: Material): unknown => reference ?? item?.label ?? null

/** A list of as many values as were asked; a single value may stand for a list of one. */
function listOf(value: unknown, count: number, name: string): unknown[] {
  const list = Array.isArray(value) ? (value as unknown[]) : [value]
  if (list.length !== count) throw new Error(`the reply has ${list.length} ${name} for ${count} answers`)
  return list
}

const recordOf = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

/** verl's compute_score, and others like it: a number, or an object that holds it. */
function scoreIn(value: unknown): Rewarded {
  const { score, reward, reward_score: third, ...rest } = recordOf(value)
  const metrics = numbersOf(rest)
  return {
    reward: typeof value === 'number' ? value : (score ?? reward ?? third),
    ...(Object.keys(metrics).length > 0 ? { metrics } : {})
  }
}

const numbersOf = (record: Record<string, unknown>): Record<string, number> =>
  Object.fromEntries(Object.entries(record).filter((entry): entry is [string, number] => Number.isFinite(entry[1])))

/** All fields of the data set that some answer has, each as a list with null for the others. */
function columnsOf(materials: readonly Material[]): Record<string, unknown[]> {
  const names = new Set(materials.flatMap(({ item }) => Object.keys(item ?? {})))
  const columns = [...names].map((name) => [name, materials.map(({ item }) => item?.[name] ?? null)] as const)
  return Object.fromEntries(columns)
}

export const shapes: Record<RewardShape, ShapeFormat> = {
  // `query` holds prompt and answer in one text, from which servers cut the prompt by its length.
  openrlhf: {
    path: '/get_reward',
    batch: 32,
    body: (materials) => {
      const prompts = materials.map(promptText)
      return {
        query: materials.map(({ completion }, index) => prompts[index] + completion),
        prompts,
        labels: materials.map(label)
      }
    },
    read: (reply, ids) => {
      const { rewards, extra_logs: logs } = recordOf(reply)
      if (rewards === undefined) throw new Error('the reply has no rewards')
      const columns = Object.entries(recordOf(logs))
      return listOf(rewards, ids.length, 'rewards').map((reward, index) => ({
        reward,
        metrics: numbersOf(Object.fromEntries(columns.map(([name, values]) => [name, cell(values, index)])))
      }))
    }
  },
  // The arguments of a reward function of TRL: conversations as messages, the data set's columns beside them.
  trl: {
    path: '/',
    batch: 32,
    body: (materials) => ({
      ...columnsOf(materials),
      prompts: materials.map(chat),
      completions: materials.map(({ completion }) => [{ role: 'assistant', content: completion }])
    }),
    read: (reply, ids) =>
      listOf(Array.isArray(reply) ? reply : recordOf(reply).rewards, ids.length, 'rewards').map((reward) => ({
        reward
      }))
  },
  // The arguments of compute_score, one answer a request.
  verl: {
    path: '/',
    batch: 1,
    body: ([material]) => ({
      data_source: material!.item?.data_source ?? null,
      solution_str: material!.completion,
      ground_truth: label(material!),
      extra_info: { ...material!.item, prompt: promptText(material!) }
    }),
    read: (reply) => [scoreIn(Array.isArray(reply) ? (reply as unknown[])[0] : reply)]
  },
  nova: {
    path: '/',
    batch: 32,
    body: (materials, ids) =>
      materials.map((material, index) => ({
        id: ids[index],
        messages: [...chat(material), { role: 'assistant', content: material.completion }],
        metadata: {
          ...material.item,
          ...(material.reference === undefined ? {} : { reference_answer: material.reference })
        }
      })),
    read: (reply, ids) => {
      if (!Array.isArray(reply)) throw new Error('the reply is no list')
      const byId = new Map<unknown, Record<string, unknown>>()
      for (const entry of (reply as unknown[]).map(recordOf)) {
        if (typeof entry.id !== 'string' || !ids.includes(entry.id)) {
          throw new Error(`the reply holds the id ${JSON.stringify(entry.id) ?? 'undefined'}, which was not asked for`)
        }
        if (byId.has(entry.id)) throw new Error(`the reply holds the id ${JSON.stringify(entry.id)} twice`)
        byId.set(entry.id, entry)
      }
      return ids.map((id) => {
        const entry = byId.get(id)
        const list = Array.isArray(entry?.metrics_list) ? (entry.metrics_list as unknown[]).map(recordOf) : []
        return {
          reward: entry?.aggregate_reward_score,
          metrics: numbersOf(Object.fromEntries(list.map(({ name, value }) => [String(name), value])))
        }
      })
    }
  }
}

const cell = (values: unknown, index: number): unknown =>
  Array.isArray(values) ? (values as unknown[])[index] : values
