import type { Figures } from './ledger/record.js'

/** One suite: runs, prints as it goes, and gives its figures for the ledger; undefined where nothing was measured. */
export interface Suite {
  main: (args: string[]) => Promise<Figures | undefined>
}

/** @throws Error where the option's text is no whole number from `least` on. */
export function wholeNumber(option: string, text: string, least = 1): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= least) return value
  throw new Error(`--${option}: expected a whole number from ${least} on, got ${text}`)
}
