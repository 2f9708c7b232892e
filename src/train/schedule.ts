/** The learning rate over a run. */
import type { RunConfig } from './schema.js'

/**
 * Rate of a step (from 1): rises linearly over the warm-up, then stays, falls linearly to 0, or follows half a cosine
 * to 0, as in Transformers' schedules of the same names.
 */
export function learningRateAt(step: number, optimizer: RunConfig['optimizer'], steps: number): number {
  const { learning_rate: rate, schedule, warmup_steps: warmup } = optimizer
  const taken = step - 1
  if (taken < warmup) return (rate * step) / warmup
  if (schedule === 'constant') return rate
  const done = (taken - warmup) / Math.max(1, steps - warmup)
  return schedule === 'linear' ? rate * (1 - done) : rate * 0.5 * (1 + Math.cos(Math.PI * done))
}
