import type { JudgeMetrics } from './types.js'

export const emptyMetrics = (): JudgeMetrics => ({
  verdicts: 0,
  unscored: 0,
  cached: 0,
  calls: 0,
  retries: 0,
  inputTokens: 0,
  outputTokens: 0,
  cost: 0,
  inFlight: 0,
  queued: 0,
  limited: 0,
  hedged: 0,
  fallbacks: 0
})
