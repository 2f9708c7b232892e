import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startCli, until } from '../cli/child.js'
import { answerIn, score, startServer, type TestServer } from '../judge/server.js'
import { writeTinyModel } from '../policy/tinyModel.js'

const kills = 25
const concurrency = 3
const last = 'run/checkpoints/step-000060'

/** What learns: weights alone, or a critic's head, running statistics and several passes over a rollout besides. */
const kinds = {
  grpo: { algorithm: { preset: 'grpo' }, files: ['model/model.safetensors', 'optimizer.safetensors'] },
  ppo: {
    algorithm: { preset: 'ppo', kl: { coefficient: 0.02 } },
    value: { learning_rate: 0.01 },
    reward: { scale: { center: true, limit: 5 }, adaptive_kl: { target: 0.01, horizon: 100 } },
    files: ['model/model.safetensors', 'model/heads/heads.safetensors', 'optimizer.safetensors']
  }
}

let folder: string
let server: TestServer
let common: object
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'adjudge-kill-'))
  writeTinyModel(join(folder, 'model'))
  const prompts = Array.from({ length: 7 }, (_, index) => JSON.stringify({ prompt: `p${index}` }))
  writeFileSync(join(folder, 'train.jsonl'), prompts.join('\n'))
  // A verdict depends on the answer alone, so that a whole run and one in pieces can be compared.
  server = await startServer((body) => ({ content: score(1 + (answerIn(body).length % 5)), delay: 5 }))
  const rubric = { aim: 'x', scale: { low: 1, high: 5 } }
  const judge = { provider: 'openai', model: 'm', base_url: server.url, rubric, concurrency }
  common = {
    model: { path: 'model' },
    data: { train: 'train.jsonl' },
    rollout: { prompts: 2, completions: 4, max_tokens: 6 },
    rewards: [{ name: 'a', judge }],
    optimizer: { learning_rate: 1e-3 }
  }
})
afterEach(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

const state = (run: string): { shaping?: unknown } =>
  JSON.parse(readFileSync(join(folder, run, last, 'state.json'), 'utf8')) as { shaping?: unknown }

it.each(['grpo', 'ppo'] as const)(
  'a run of %s that is killed again and again asks nothing twice but what was in flight, and ends with the same bits',
  async (kind) => {
    const { files, ...sections } = kinds[kind]
    const iterations = kind === 'ppo' ? 2 : 1
    const config = { ...common, ...sections, training: { steps: 60, save_every: 4, iterations } }
    writeFileSync(join(folder, 'run.yaml'), JSON.stringify(config))
    const start = (resume: boolean) => startCli(['train', join(folder, 'run.yaml'), ...(resume ? ['--resume'] : [])])
    const whole = start(false)
    expect(await whole.ended).toBe(0)
    cpSync(join(folder, 'runs'), join(folder, 'whole'), { recursive: true })
    rmSync(join(folder, 'runs'), { recursive: true })
    server.requests.length = 0

    let random = 12345
    for (let kill = 0; kill < kills; kill++) {
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0
      const child = start(existsSync(join(folder, 'runs/run/config.yaml')))
      // Somewhere in the next verdicts; past them it may be in the midst of a step, a checkpoint or a commit.
      const goal = server.requests.length + 1 + (random % 20)
      await until(() => server.requests.length >= goal, child).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, random % 37))
      child.process.kill('SIGKILL')
      await child.ended
      const checkpoints = join(folder, 'runs/run/checkpoints')
      // What a checkpoint's name promises is there, whenever the end came.
      for (const name of existsSync(checkpoints) ? readdirSync(checkpoints) : []) {
        if (/^step-\d+$/.test(name)) expect(readdirSync(join(checkpoints, name))).toContain('state.json')
      }
    }
    const rest = start(true)
    expect(await rest.ended, rest.err).toBe(0)
    const asked = server.requests.map((body) => JSON.stringify(body.messages))
    const twice = asked.length - new Set(asked).size
    console.log(`${kind}: ${kills} kills, ${asked.length} questions, ${twice} asked again`)
    expect(twice).toBeLessThanOrEqual(kills * concurrency)
    for (const path of files) {
      const [one, other] = ['runs', 'whole'].map((run) => readFileSync(join(folder, run, last, path)))
      expect(one!.equals(other!), path).toBe(true)
    }
    expect(state('runs').shaping).toEqual(state('whole').shaping)
  }
)
