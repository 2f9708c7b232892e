/**
 * Makes what the quickstart carries: `assets/policy` and `assets/judge`, with this engine, from text of our generator.
 * Run it with `npx jiti scripts/quickstart/make.ts [policy|judge|sheet]`; needs the built addon. `sheet` only measures.
 * A training that was stopped goes on where it stood; delete the scratch folder to begin anew.
 */
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { packageRoot } from '../../src/binding/load.js'
import { type Policy } from '../../src/policy/policy.js'
import { adversaries } from './adversary.js'
import { halveWeights } from './half.js'
import { trainJudge } from './judge.js'
import { measure } from './measure.js'
import { writeRandomModel } from './model.js'
import { trainPolicy } from './policy.js'
import { judgeTemplate, policyTemplate } from './templates.js'
import { specials, tokenizerText, vocabulary, type Judged } from './text.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    assets: { type: 'string', default: join(packageRoot, 'assets') },
    scratch: { type: 'string', default: join(packageRoot, 'build', 'quickstart') },
    threads: { type: 'string', default: '2' }
  }
})
const { assets, scratch } = values
const threads = Number(values.threads)
const part = positionals[0]

const seeds = { tokenizer: 1, weights: 2, baseText: 3, policyText: 10, judgeText: 4, sheet: 9 }
const training = {
  /** What policy and judge begin as: it knows the language, and that a reply names what the message names. */
  base: { steps: 900, decay: 0 },
  policy: { steps: 600, decay: 500 },
  /** First on the generator's text; then with replies of policies that learned from this judge, too. */
  judge: [
    { steps: 6000, decay: 1500, adversaries: [] },
    { steps: 800, decay: 600, adversaries: [5, 6] },
    { steps: 800, decay: 600, adversaries: [7, 8] }
  ]
}
const adversarySteps = 50

async function save(policy: Policy, folder: string): Promise<void> {
  await policy.save(folder)
  policy.dispose()
  halveWeights(folder)
}

/** The base's folder. Made once, both begin as it. */
async function baseFolder(): Promise<string> {
  const folder = join(scratch, 'base')
  if (existsSync(join(folder, 'model.safetensors'))) return folder
  const random = join(scratch, 'random')
  await writeRandomModel(
    random,
    { tokenizer: tokenizerText(seeds.tokenizer), chatTemplate: policyTemplate, vocabulary, endToken: specials[0]! },
    seeds.weights
  )
  const options = { ...training.base, folder: random, scratch: join(scratch, 'base-training'), seed: seeds.baseText }
  const base = await trainPolicy({ ...options, threads })
  await base.save(folder)
  base.dispose()
  return folder
}

async function makePolicy(): Promise<void> {
  const options = { ...training.policy, folder: await baseFolder(), scratch: join(scratch, 'policy') }
  await save(await trainPolicy({ ...options, seed: seeds.policyText, threads }), join(assets, 'policy'))
}

async function makeJudge(): Promise<void> {
  const folder = join(assets, 'judge')
  rmSync(folder, { recursive: true, force: true })
  cpSync(await baseFolder(), folder, { recursive: true })
  writeFileSync(join(folder, 'chat_template.jinja'), judgeTemplate)
  const pool: Judged[] = []
  for (const [round, { steps, decay, adversaries: opponents }] of training.judge.entries()) {
    pool.push(...(await adversaries({ assets, seeds: opponents, steps: adversarySteps, threads })))
    const judge = await trainJudge({
      folder,
      scratch: join(scratch, `judge-${round}`),
      rubric: join(assets, 'rubric.yaml'),
      steps,
      decay,
      seed: seeds.judgeText + 100 * round,
      threads,
      pool
    })
    await save(judge, folder)
    cpSync(folder, join(scratch, `judge-${round}-end`), { recursive: true })
  }
}

if (part === undefined || part === 'policy') await makePolicy()
if (part === undefined || part === 'judge') await makeJudge()
if (part === undefined || part === 'sheet') {
  const sheet = join(assets, 'README.md')
  const measured = await measure(assets, seeds.sheet)
  const text = readFileSync(sheet, 'utf8')
  const [before, rest] = text.split('<!-- measured -->\n')
  const after = rest?.split('<!-- /measured -->\n')[1] ?? ''
  writeFileSync(sheet, `${before}<!-- measured -->\n${measured}<!-- /measured -->\n${after}`)
  console.log(measured)
}
