/**
 * Advantages and losses in a training loop of one's own: no model of this engine, only the RL calls. The policy is a
 * table: for each prompt and the token before, a score for every next token. It learns to answer with its prompt's
 * token, and nothing else.
 *
 *     npx jiti examples/own-loop.ts [PRESET]
 *
 * Any preset with one advantage per completion and no reference model, such as dapo, grpo, rloo.
 */
import { advantages, policyLoss } from 'adjudge'

const [preset = 'dapo'] = process.argv.slice(2)
const tokens = 6 // of the vocabulary
const length = 5 // of a completion
const prompts = 4
const group = 8
const rows = prompts * group
const scores = new Float64Array(prompts * (tokens + 1) * tokens)

/** Log-softmax of the scores after `before`; `tokens` stands for the start. */
function logSoftmax(prompt: number, before: number): Float64Array {
  const from = (prompt * (tokens + 1) + before) * tokens
  const row = scores.slice(from, from + tokens)
  const normalizer = Math.log(row.reduce((sum, score) => sum + Math.exp(score), 0))
  return row.map((score) => score - normalizer)
}

let state = 7
function random(): number {
  state = (state * 1664525 + 1013904223) % 4294967296
  return state / 4294967296
}

function sample(logProbs: Float64Array): number {
  let left = random()
  const chosen = logProbs.findIndex((logProb) => (left -= Math.exp(logProb)) < 0)
  return chosen < 0 ? logProbs.length - 1 : chosen
}

// The rule is read once; a step passes arrays, and the results lie in memory of this loop.
const groupAdvantages = advantages.prepare(preset)
const loss = policyLoss.prepare(preset)
const groupOffsets = Int32Array.from({ length: prompts + 1 }, (_, prompt) => prompt * group)
const cuSeqlens = Int32Array.from({ length: rows + 1 }, (_, row) => row * length)
const completions = new Int32Array(rows * length)
const logProbs = new Float64Array(rows * length)
const oldLogProbs = new Float64Array(rows * length)
const rewards = new Float64Array(rows)
const rowAdvantages = new Float64Array(rows)
const logProbGradients = new Float64Array(rows * length)

/** Calls `visit` with each token of the batch and the distribution that it was drawn from. */
function eachToken(visit: (at: number, distribution: Float64Array, scoresFrom: number) => void): void {
  for (let at = 0; at < completions.length; at++) {
    const prompt = Math.floor(at / (group * length))
    const before = at % length === 0 ? tokens : completions[at - 1]!
    visit(at, logSoftmax(prompt, before), (prompt * (tokens + 1) + before) * tokens)
  }
}

for (let step = 1; step <= 30; step++) {
  eachToken((at, distribution) => {
    completions[at] = sample(distribution)
    oldLogProbs[at] = distribution[completions[at]]!
  })
  for (let row = 0; row < rows; row++) {
    const answer = completions.subarray(row * length, (row + 1) * length)
    rewards[row] = answer.filter((token) => token === Math.floor(row / group)).length / length
  }
  const { metrics } = groupAdvantages({ rewards, groupOffsets, out: { advantages: rowAdvantages } })

  // Two updates on the same completions: at the second the ratio is no longer 1, and the clip may bite.
  for (let update = 0; update < 2; update++) {
    eachToken((at, distribution) => (logProbs[at] = distribution[completions[at]]!))
    loss({ logProbs, oldLogProbs, advantages: rowAdvantages, cuSeqlens, maxTokens: length, out: { logProbGradients } })
    const scoreGradients = new Float64Array(scores.length)
    eachToken((at, distribution, from) => {
      // d log-prob of the token / d score of each token: 1 for itself, minus the probability.
      for (let token = 0; token < tokens; token++) {
        const slope = (token === completions[at] ? 1 : 0) - Math.exp(distribution[token]!)
        scoreGradients[from + token]! += logProbGradients[at]! * slope
      }
    })
    for (let i = 0; i < scores.length; i++) scores[i]! -= 10 * scoreGradients[i]!
  }
  if (step === 1 || step % 5 === 0) console.log(`step ${step}: mean reward ${metrics.reward.toFixed(3)}`)
}
