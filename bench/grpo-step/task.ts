/** The measured task, as both contenders get it. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

export interface Task {
  /** A Transformers folder without an end-of-sequence token: every completion has all its tokens. */
  model: string
  /** Raw texts; no chat template, so that both sides see the same tokens. */
  prompts: string[]
  completions: number
  maxTokens: number
  learningRate: number
  threads: number
}

/** One step: seconds of its parts, and what it worked on. */
export interface StepResult {
  seconds: number
  generation: number
  /** Everything between generation and optimizer: losses, forward and backward. */
  backward: number
  optimizer: number
  promptTokens: number
  completionTokens: number
  reward: number
}

const reviews = [
  'a gentle comedy about two brothers who inherit a ferry that nobody wants to ride any more',
  'a slow thriller in which a retired clockmaker is asked to repair the one clock he once broke on purpose',
  'a documentary on the last family that still makes salt by hand on a wind-swept northern coast',
  'a noisy adventure whose hero, a postman, must cross a whole desert to deliver one unstamped letter'
]

/** Prompts of about 75 tokens of SmolLM2's tokenizer. */
export function promptsOf(count: number): string[] {
  return Array.from(
    { length: count },
    (_, index) =>
      `Here is the plot of a film that opens this week: ${reviews[index % reviews.length]}. ` +
      'Write two sentences for the local newspaper that tell a reader whether it is worth the price of a ticket, ' +
      'without giving away how it ends, and close with a mark from one to ten for the whole family.\n\n' +
      (index < reviews.length ? 'Review:' : `Review number ${index + 1}:`)
  )
}

/** A copy of a model's folder (weights linked, not copied) that names no end-of-sequence token. */
export function withoutEnd(model: string, folder: string): string {
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(model)) {
    if (name === 'generation_config.json' || name.startsWith('.')) continue
    const [from, to] = [join(resolve(model), name), join(folder, name)]
    if (name === 'config.json') {
      const config = JSON.parse(readFileSync(from, 'utf8')) as Record<string, unknown>
      delete config['eos_token_id']
      writeFileSync(to, JSON.stringify(config, null, 2))
    } else if (name.endsWith('.json')) copyFileSync(from, to)
    else symlinkSync(from, to)
  }
  return folder
}

/** The share of the letter e in a text: trivial, the same for both, and never the same for all of a group. */
export const reward = (text: string): number => (text.split('e').length - 1) / Math.max(1, text.length)
