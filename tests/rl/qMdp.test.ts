import { describe, expect, test } from 'vitest'
import {
  duelingGradients,
  duelingQ,
  polyakAverage,
  qLoss,
  qTargets,
  ReplayBuffer,
  resolveQAlgorithm,
  type QAlgorithm,
  type QAlgorithmOptions
} from '../../src/index.js'
import { stream } from './stream.js'

const stateCount = 5
const actionCount = 3
const gamma = 0.9

/** One outcome of an action: where it leads, how likely, for how much; an ending is worth nothing more. */
interface Outcome {
  state: number
  action: number
  probability: number
  reward: number
  next: number
  terminated: number
}

/** Every action has `branches` outcomes; one of them in eight ends the episode. */
function randomMdp(seed: number, branches: number): Outcome[] {
  const random = stream(seed)
  const outcomes: Outcome[] = []
  for (let state = 0; state < stateCount; state++) {
    for (let action = 0; action < actionCount; action++) {
      const first = branches === 1 ? 1 : 0.2 + 0.6 * random()
      for (let branch = 0; branch < branches; branch++) {
        outcomes.push({
          state,
          action,
          probability: branch === 0 ? first : 1 - first,
          reward: 4 * random() - 2,
          next: Math.floor(random() * stateCount),
          terminated: random() < 1 / 8 ? 1 : 0
        })
      }
    }
  }
  return outcomes
}

type Table = number[][]
const tableOf = (fill: number): Table =>
  Array.from({ length: stateCount }, () => new Array<number>(actionCount).fill(fill))

/** Dynamic programming: Q = E[r + γ · value of the next state], swept until it stands. */
function solve(outcomes: Outcome[], valueOf: (q: number[], state: number) => number): Table {
  let q = tableOf(0)
  for (let sweep = 0; sweep < 500; sweep++) {
    const next = tableOf(0)
    for (const { state, action, probability, reward, next: to, terminated } of outcomes) {
      next[state][action] += probability * (reward + (terminated ? 0 : gamma * valueOf(q[to], to)))
    }
    q = next
  }
  return q
}

const flat = (table: Table) => Float64Array.from(table.flat())
const largest = (row: ArrayLike<number>) => Math.max(...Array.from(row))
const softValue = (temperature: number) => (row: number[]) =>
  temperature * Math.log(row.reduce((sum, value) => sum + Math.exp(value / temperature), 0))

function rowsOf(values: ArrayLike<number>, states: number[]): Float64Array {
  const all = Array.from(values)
  return Float64Array.from(states.flatMap((state) => all.slice(state * actionCount, (state + 1) * actionCount)))
}

/** Adds the gradients of rows to the table's. */
function scatter(table: Float64Array, states: number[], gradients: ArrayLike<number>, rate: number): void {
  states.forEach((state, step) => {
    for (let action = 0; action < actionCount; action++) {
      table[state * actionCount + action] -= rate * gradients[step * actionCount + action]
    }
  })
}

function expectTable(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length)
  for (let index = 0; index < expected.length; index++) {
    expect(Math.abs(actual[index] - expected[index])).toBeLessThan(tolerance)
  }
}

const columns = (outcomes: Outcome[]) => ({
  states: outcomes.map(({ state }) => state),
  nexts: outcomes.map(({ next }) => next),
  actions: Int32Array.from(outcomes, ({ action }) => action),
  rewards: Float64Array.from(outcomes, ({ reward }) => reward),
  terminated: Uint8Array.from(outcomes, ({ terminated }) => terminated),
  weights: Float64Array.from(outcomes, ({ probability }) => probability)
})

const prepared = (algorithm: QAlgorithm) => ({
  targetsOf: qTargets.prepare(algorithm),
  lossOf: qLoss.prepare(algorithm)
})

/** Tabular learning over all outcomes at once, weighted by their probabilities: the exact expected gradient. */
function learn(algorithm: QAlgorithm, outcomes: Outcome[], sweeps: number): Float64Array {
  const { targetsOf, lossOf } = prepared(algorithm)
  const { states, nexts, actions, rewards, terminated, weights } = columns(outcomes)
  const online = new Float64Array(stateCount * actionCount)
  const target = online.slice()
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const targets = targetsOf({
      rewards,
      terminated,
      nextQ: rowsOf(target, nexts),
      nextOnlineQ: rowsOf(online, nexts)
    })
    const { qGradients } = lossOf({ q: rowsOf(online, states), actions, targets, weights })
    scatter(online, states, qGradients as Float64Array, 0.4 * states.length)
    if (sweep % algorithm.target.every === 0) polyakAverage(target, online, algorithm.target.rate)
  }
  return online
}

const algorithmOf = (preset: string, change: Record<string, unknown> = {}) => {
  const { targets, ...rest } = change
  return resolveQAlgorithm({ preset, ...rest, targets: { gamma, ...(targets as object) } } as QAlgorithmOptions)
}

describe('tabular Q-learning on small MDPs converges to the solution by dynamic programming', () => {
  for (const seed of [1, 2, 3]) {
    test(`DQN and double DQN, with target networks copied or averaged: MDP ${seed}`, () => {
      const outcomes = randomMdp(seed, 2)
      const optimal = flat(solve(outcomes, largest))
      expect(largest(optimal) - Math.min(...optimal)).toBeGreaterThan(1)
      for (const target of [
        { rate: 1, every: 5 },
        { rate: 0.3, every: 1 }
      ]) {
        expectTable(learn(algorithmOf('dqn', { target }), outcomes, 1500), optimal, 1e-9)
        expectTable(learn(algorithmOf('double_dqn', { target }), outcomes, 1500), optimal, 1e-9)
      }
      const huber = { loss: { td: 'huber', huber_threshold: 100 }, target: { rate: 1, every: 5 } }
      expectTable(learn(algorithmOf('dqn', huber), outcomes, 1500), optimal, 1e-9)
    })

    test(`soft Q: MDP ${seed}`, () => {
      const outcomes = randomMdp(seed, 2)
      const algorithm = algorithmOf('soft_q', { targets: { temperature: 0.5 }, target: { rate: 0.3 } })
      expectTable(learn(algorithm, outcomes, 1500), flat(solve(outcomes, softValue(0.5))), 1e-9)
    })

    test(`dueling heads: MDP ${seed}`, () => {
      const outcomes = randomMdp(seed, 2)
      const { states, nexts, actions, rewards, terminated, weights } = columns(outcomes)
      const heads = { values: new Float64Array(stateCount), advantages: new Float64Array(stateCount * actionCount) }
      const algorithm = algorithmOf('dqn')
      const { targetsOf, lossOf } = prepared(algorithm)
      for (let sweep = 0; sweep < 3000; sweep++) {
        const q = duelingQ(heads)
        const targets = targetsOf({ rewards, terminated, nextQ: rowsOf(q, nexts) })
        const loss = lossOf({ q: rowsOf(q, states), actions, targets, weights })
        const tableGradients = new Float64Array(q.length)
        scatter(tableGradients, states, loss.qGradients as Float64Array, -1)
        const { valueGradients, advantageGradients } = duelingGradients(heads, tableGradients)
        valueGradients.forEach((gradient, index) => (heads.values[index] -= 5 * gradient))
        advantageGradients.forEach((gradient, index) => (heads.advantages[index] -= 5 * gradient))
      }
      expectTable(duelingQ(heads), flat(solve(outcomes, largest)), 1e-8)
    })

    test(`several steps: Watkins’s Q(λ) from random actions; n-step and Peng’s Q(λ) from greedy ones: MDP ${seed}`, () => {
      const outcomes = randomMdp(seed, 1)
      const optimal = flat(solve(outcomes, largest))
      const at = (state: number, action: number) => outcomes[state * actionCount + action]
      const run = (algorithm: QAlgorithm, greedyAfterFirst: boolean, sweeps: number) => {
        const { targetsOf, lossOf } = prepared(algorithm)
        const random = stream(100 + seed)
        const q = new Float64Array(stateCount * actionCount)
        for (let sweep = 0; sweep < sweeps; sweep++) {
          const path: Outcome[] = []
          const starts = [0]
          // From every pair of state and action, so that each is seen.
          for (const start of outcomes) {
            let step: Outcome | undefined = start
            for (let length = 0; step && length < 6; length++) {
              path.push(step)
              const row: number[] = Array.from(q.slice(step.next * actionCount, (step.next + 1) * actionCount))
              const action: number = greedyAfterFirst ? row.indexOf(largest(row)) : Math.floor(random() * actionCount)
              step = step.terminated ? undefined : at(step.next, action)
            }
            starts.push(path.length)
          }
          const { states, nexts, actions, rewards, terminated } = columns(path)
          const targets = targetsOf({
            rewards,
            terminated,
            actions,
            cuSeqlens: Int32Array.from(starts),
            nextQ: rowsOf(q, nexts)
          })
          const { qGradients } = lossOf({ q: rowsOf(q, states), actions, targets })
          scatter(q, states, qGradients as Float64Array, 0.01 * states.length)
        }
        return q
      }
      expectTable(run(algorithmOf('watkins_q_lambda', { targets: { lambda: 0.8 } }), false, 3000), optimal, 1e-8)
      expectTable(run(algorithmOf('n_step_dqn', { targets: { bootstrap: 'max' } }), true, 2000), optimal, 1e-8)
      expectTable(run(algorithmOf('q_lambda', { targets: { lambda: 0.8 } }), true, 2000), optimal, 1e-8)
    })
  }

  test('from prioritised replay of sampled transitions: weighted it ends at the solution, unweighted it does not', () => {
    const outcomes = randomMdp(2, 2)
    // As often as it is likely: 20 transitions of every pair of state and action.
    const counts = outcomes.map(({ probability }) => Math.round(probability * 20))
    const empirical = outcomes.map((outcome, index) => ({ ...outcome, probability: counts[index] / 20 }))
    const expected = flat(solve(empirical, largest))
    const algorithm = algorithmOf('dqn')
    const { targetsOf, lossOf } = prepared(algorithm)
    const errorWith = (beta: number) => {
      const replay = new ReplayBuffer({
        capacity: 20 * stateCount * actionCount,
        seed: 5,
        fields: { outcome: { type: 'int32' } },
        priorities: { alpha: 0.6, beta, normalization: 'none', epsilon: 0.1 }
      })
      counts.forEach((count, outcome) => replay.add({ outcome: new Int32Array(count).fill(outcome) }))
      const q = new Float64Array(stateCount * actionCount)
      const mean = q.slice()
      const sweeps = 8000
      for (let step = 0; step < sweeps; step++) {
        const { indices, weights, rows } = replay.sample(16)
        const transitions = columns(Array.from(rows.outcome, (index) => outcomes[index]))
        const { states, nexts, actions, rewards, terminated } = transitions
        const targets = targetsOf({ rewards, terminated, nextQ: rowsOf(q, nexts) })
        const { qGradients, priorities } = lossOf({ q: rowsOf(q, states), actions, targets, weights })
        scatter(q, states, qGradients as Float64Array, 1 / (1 + step / 500) ** 0.6)
        replay.updatePriorities(indices, priorities as Float64Array)
        // The mean of the last half: its noise falls faster than that of a single table.
        if (step >= sweeps / 2) polyakAverage(mean, q, 1 / (step - sweeps / 2 + 1))
      }
      return Math.max(...mean.map((value, index) => Math.abs(value - expected[index])))
    }
    expect(errorWith(1)).toBeLessThan(0.15)
    expect(errorWith(0)).toBeGreaterThan(0.5)
  })

  test('quantiles of the return (QR-DQN): a reward of 0, 1, 2, 3 or 4, and one step before it', () => {
    // State 0 leads to state 1 for 10; from there the episode ends with one of five rewards.
    const quantiles = 2
    const algorithm = resolveQAlgorithm({ preset: 'qr_dqn', targets: { gamma }, loss: { huber_threshold: 0 } })
    const { targetsOf, lossOf } = prepared(algorithm)
    const q = new Float64Array(2 * quantiles)
    for (let sweep = 0; sweep < 4000; sweep++) {
      const states = [0, 1, 1, 1, 1, 1]
      const rows = (of: number[]) =>
        Float64Array.from(of.flatMap((state) => Array.from(q.slice(2 * state, 2 * state + 2))))
      const targets = targetsOf({
        rewards: Float64Array.of(10, 0, 1, 2, 3, 4),
        terminated: Uint8Array.of(0, 1, 1, 1, 1, 1),
        nextQ: rows([1, 0, 0, 0, 0, 0]),
        quantiles
      })
      const weights = Float64Array.of(1, 0.2, 0.2, 0.2, 0.2, 0.2)
      const { qGradients } = lossOf({
        q: rows(states),
        actions: new Int32Array(6),
        targets,
        weights,
        quantiles
      })
      const rate = 6 * (0.5 / (1 + sweep / 50))
      states.forEach((state, step) => {
        for (let k = 0; k < 2; k++) q[2 * state + k] -= rate * (qGradients as Float64Array)[2 * step + k]
      })
    }
    expectTable(q, [10 + gamma * 1, 10 + gamma * 3, 1, 3], 0.02)
  })
})

describe('offline: CQL and ILQL on small MDPs', () => {
  /** How often the data has each action in each state: every action at times; the last action of state 0 never. */
  const broad: Table = [
    [0.68, 0.3, 0.02],
    [0.3, 0.4, 0.3],
    [0.4, 0.3, 0.3],
    [0.5, 0.2, 0.3],
    [0.6, 0.1, 0.3]
  ]
  const narrow: Table = [[0.7, 0.3, 0], ...broad.slice(1)]

  const dataOf = (outcomes: Outcome[], behaviour: Table) =>
    outcomes
      .filter(({ state, action }) => behaviour[state][action] > 0)
      .map((outcome) => ({ ...outcome, probability: outcome.probability * behaviour[outcome.state][outcome.action] }))

  /** argmin over one row of Σ β(a)(Q(a) − y(a))² + α (log Σ exp Q − Σ β(a) Q(a)), by Newton’s method. */
  function conservativeRow(beta: number[], y: number[], alpha: number): number[] {
    const q = y.slice()
    for (let iteration = 0; iteration < 100; iteration++) {
      const total = q.reduce((sum, value) => sum + Math.exp(value), 0)
      const p = q.map((value) => Math.exp(value) / total)
      const gradient = q.map((value, a) => 2 * beta[a] * (value - y[a]) + alpha * (p[a] - beta[a]))
      // Hessian: diag(2β + αp) − α p pᵀ, inverted by Sherman and Morrison's formula.
      const diagonal = q.map((_, a) => 2 * beta[a] + alpha * p[a])
      const solved = gradient.map((value, a) => value / diagonal[a])
      const ratio = p.map((value, a) => value / diagonal[a])
      const inner = p.reduce((sum, value, a) => sum + value * solved[a], 0)
      const curvature = 1 - alpha * p.reduce((sum, value, a) => sum + value * ratio[a], 0)
      q.forEach((_, a) => (q[a] -= solved[a] + (alpha * ratio[a] * inner) / curvature))
    }
    return q
  }

  test('CQL: the fixed point of conservative regression, found by Newton’s method; its values are cautious', () => {
    const outcomes = randomMdp(4, 2)
    const alpha = 0.3
    let q = tableOf(0)
    for (let round = 0; round < 300; round++) {
      const y = tableOf(0)
      for (const { state, action, probability, reward, next, terminated } of outcomes) {
        y[state][action] += probability * (reward + (terminated ? 0 : gamma * largest(q[next])))
      }
      q = y.map((row, state) => conservativeRow(broad[state], row, alpha))
    }
    const algorithm = algorithmOf('cql', {
      targets: { bootstrap: 'max' },
      loss: { conservative: { coefficient: alpha } },
      target: { rate: 0.3, every: 1 }
    })
    const learnt = learn(algorithm, dataOf(outcomes, broad), 8000)
    expectTable(learnt, flat(q), 1e-6)
    const optimal = solve(outcomes, largest)
    q.forEach((row, state) => expect(largest(row)).toBeLessThan(largest(optimal[state])))
  })

  /** The e-expectile of Q under the data's actions. */
  function expectileOf(q: number[], beta: number[], expectile: number): number {
    let low = Math.min(...q)
    let high = Math.max(...q)
    for (let cut = 0; cut < 100; cut++) {
      const v = (low + high) / 2
      const slope = q.reduce(
        (sum, value, a) => sum + beta[a] * Math.abs(expectile - (value < v ? 1 : 0)) * (value - v),
        0
      )
      if (slope > 0) low = v
      else high = v
    }
    return (low + high) / 2
  }

  /** ILQL's whole loss with twin Q, by gradient descent on tables. */
  function learnIlql(outcomes: Outcome[], expectile: number, sweeps: number, rate: number) {
    const { states, nexts, actions, rewards, terminated, weights } = columns(outcomes)
    const algorithm = algorithmOf('ilql', {
      loss: { value: { expectile }, conservative: { coefficient: 0 }, policy: { beta: 2 } },
      target: { rate: 0.2, every: 1 }
    })
    const { targetsOf, lossOf } = prepared(algorithm)
    const tables = [new Float64Array(stateCount * actionCount), new Float64Array(stateCount * actionCount).fill(1)]
    const targetTables = tables.map((table) => table.slice())
    const values = new Float64Array(stateCount)
    const pick = (of: Float64Array, at: number[]) => Float64Array.from(at, (state) => of[state])
    const taken = (table: Float64Array) =>
      Float64Array.from(actions, (action, step) => table[states[step] * actionCount + action])
    let policyWeights = new Float64Array(0)
    for (let sweep = 0; sweep < sweeps; sweep++) {
      const loss = lossOf({
        q: rowsOf(tables[0], states),
        twinQ: rowsOf(tables[1], states),
        actions,
        weights,
        targets: targetsOf({ rewards, terminated, nextValues: pick(values, nexts) }),
        values: pick(values, states),
        targetQ: taken(targetTables[0]),
        twinTargetQ: taken(targetTables[1]),
        logProbs: new Float64Array(states.length)
      })
      scatter(tables[0], states, loss.qGradients as Float64Array, rate * states.length)
      scatter(tables[1], states, loss.twinQGradients as Float64Array, rate * states.length)
      loss.valueGradients?.forEach((gradient, step) => (values[states[step]] -= rate * states.length * gradient))
      tables.forEach((table, twin) => polyakAverage(targetTables[twin], table, algorithm.target.rate))
      policyWeights = Float64Array.from(loss.policyWeights ?? [])
    }
    return { tables, values, policyWeights, states, actions }
  }

  test('ILQL: V is the expectile of Q under the data, Q its backup; unseen actions play no part', () => {
    const outcomes = randomMdp(6, 2)
    const data = dataOf(outcomes, narrow)
    // A half is the mean: the value of the behaviour itself. Towards 1 it is the best of what the data has.
    for (const expectile of [0.5, 0.7, 0.9]) {
      const exact = solve(outcomes, (row, state) => expectileOf(row, narrow[state], expectile))
      if (expectile === 0.5) {
        const evaluated = solve(outcomes, (row, state) =>
          row.reduce((sum, value, a) => sum + narrow[state][a] * value, 0)
        )
        expectTable(flat(exact), flat(evaluated), 1e-9)
      }
      const { tables, values, policyWeights, states, actions } = learnIlql(data, expectile, 6000, 0.4)
      exact.forEach((row, state) => {
        expect(Math.abs(values[state] - expectileOf(row, narrow[state], expectile))).toBeLessThan(1e-7)
        for (let action = 0; action < actionCount; action++) {
          if (narrow[state][action] === 0) continue
          for (const table of tables)
            expect(Math.abs(table[state * actionCount + action] - row[action])).toBeLessThan(1e-7)
        }
      })
      // What was never taken keeps its first values.
      expect([tables[0][2], tables[1][2]]).toEqual([0, 1])
      policyWeights.forEach((weight, step) => {
        const advantage = exact[states[step]][actions[step]] - values[states[step]]
        expect(weight).toBeCloseTo(Math.exp(2 * advantage), 5)
      })
    }
  })

  test('ILQL with an expectile near 1 finds the best policy of the data; weighted extraction and its decoding prefer it', () => {
    const outcomes = randomMdp(6, 1)
    const best = solve(outcomes, (row, state) => Math.max(...row.filter((_, action) => narrow[state][action] > 0)))
    const { tables, values, policyWeights, states, actions } = learnIlql(dataOf(outcomes, narrow), 0.999, 12_000, 0.4)
    const exact = solve(outcomes, (row, state) => expectileOf(row, narrow[state], 0.999))
    for (let state = 0; state < stateCount; state++) {
      const seen = [0, 1, 2].filter((action) => narrow[state][action] > 0)
      const optimal = seen.reduce((left, right) => (best[state][right] > best[state][left] ? right : left))
      expect(Math.abs(values[state] - expectileOf(exact[state], narrow[state], 0.999))).toBeLessThan(1e-3)
      expect(Math.abs(values[state] - best[state][optimal])).toBeLessThan(0.2)
      // logits + β (min Q − V), with the behaviour's own log-probs as logits.
      const logits = seen.map((action) => {
        const q = Math.min(...tables.map((table) => table[state * actionCount + action]))
        return Math.log(narrow[state][action]) + 20 * (q - values[state])
      })
      expect(seen[logits.indexOf(largest(logits))]).toBe(optimal)
      const weights = seen.map(
        (action) => policyWeights[states.findIndex((at, step) => at === state && actions[step] === action)]
      )
      expect(seen[weights.indexOf(largest(weights))]).toBe(optimal)
    }
  })
})

describe('tokens: every completion of three tokens over a vocabulary of three', () => {
  const vocabulary = 3
  const length = 3
  const completions = Array.from({ length: vocabulary ** length }, (_, index) => [
    Math.floor(index / 9),
    Math.floor(index / 3) % 3,
    index % 3
  ])
  const random = stream(21)
  const scores = completions.map(() => random())
  /** A prefix is a state: 1 + 3 + 9 of them. */
  const stateOf = (tokens: number[]) => tokens.reduce((state, token) => state * 3 + token + 1, 0)

  /** Value of a prefix whose best completion is still to come, one step of discount for every token but the last. */
  const best = (prefix: number[]): number => {
    if (prefix.length === length) return scores[prefix[0] * 9 + prefix[1] * 3 + prefix[2]]
    const discount = prefix.length + 1 === length ? 1 : gamma
    return discount * Math.max(...[0, 1, 2].map((token) => best([...prefix, token])))
  }

  const steps = completions.flatMap((tokens) =>
    tokens.map((token, at) => ({
      state: stateOf(tokens.slice(0, at)),
      next: at + 1 < length ? stateOf(tokens.slice(0, at + 1)) : 0,
      token,
      last: at + 1 === length
    }))
  )
  const cuSeqlens = Int32Array.from({ length: completions.length + 1 }, (_, index) => index * length)
  const actions = Int32Array.from(steps, ({ token }) => token)
  const rewards = Float64Array.from(steps, ({ last }, step) => (last ? scores[Math.floor(step / length)] : 0))
  const terminated = Uint8Array.from(steps, ({ last }) => (last ? 1 : 0))
  const prefixes = [[], [0], [1], [2], ...[0, 1, 2].flatMap((first) => [0, 1, 2].map((second) => [first, second]))]

  test('Q over the whole vocabulary, by one step and by Watkins’s λ-returns', () => {
    for (const preset of ['dqn', 'watkins_q_lambda']) {
      const algorithm = algorithmOf(preset)
      const { targetsOf, lossOf } = prepared(algorithm)
      const q = new Float64Array(13 * vocabulary)
      for (let sweep = 0; sweep < 2000; sweep++) {
        const input = {
          rewards,
          terminated,
          actions,
          cuSeqlens,
          nextQ: rowsOf(
            q,
            steps.map(({ next }) => next)
          )
        }
        const states = steps.map(({ state }) => state)
        const { qGradients } = lossOf({ q: rowsOf(q, states), actions, targets: targetsOf(input) })
        scatter(q, states, qGradients as Float64Array, 0.05 * steps.length)
      }
      for (const prefix of prefixes) {
        for (let token = 0; token < vocabulary; token++) {
          const discount = prefix.length + 1 === length ? 1 : gamma
          expect(q[stateOf(prefix) * 3 + token]).toBeCloseTo(discount * best([...prefix, token]), 9)
        }
      }
    }
  })

  test('ILQL in the gathered form: V of every prefix is the mean score of its completions at an expectile of a half', () => {
    const algorithm = algorithmOf('ilql', {
      targets: { gamma: 1 },
      loss: { value: { expectile: 0.5 }, conservative: { coefficient: 0 }, policy: { coefficient: 0 } }
    })
    const { targetsOf, lossOf } = prepared(algorithm)
    const q = new Float64Array(13 * vocabulary)
    const values = new Float64Array(13)
    const own = () => Float64Array.from(steps, ({ state, token }) => q[state * 3 + token])
    for (let sweep = 0; sweep < 3000; sweep++) {
      const targets = targetsOf({
        rewards,
        terminated,
        nextValues: Float64Array.from(steps, ({ next }) => values[next])
      })
      const loss = lossOf({
        actionQ: own(),
        targets,
        values: Float64Array.from(steps, ({ state }) => values[state]),
        targetQ: own()
      })
      steps.forEach(({ state, token }, step) => {
        q[state * 3 + token] -= 0.04 * steps.length * (loss.actionQGradients as Float64Array)[step]
        values[state] -= 0.02 * steps.length * (loss.valueGradients as Float64Array)[step]
      })
    }
    for (const prefix of prefixes) {
      const under = scores.filter((_, index) => prefix.every((token, at) => token === completions[index][at]))
      const mean = under.reduce((sum, score) => sum + score, 0) / under.length
      expect(values[stateOf(prefix)]).toBeCloseTo(mean, 9)
    }
  })
})
