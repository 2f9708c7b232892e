/** Readers of option values; commander shows their message with the option's name. */
import { InvalidArgumentError } from 'commander'

export function positiveInteger(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('expected a positive whole number')
  return value
}

/** A number at least 0. */
export function amount(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0) || !Number.isFinite(value)) {
    throw new InvalidArgumentError('expected a number, at least 0')
  }
  return value
}

/** A whole number at least 0. */
export function wholeNumber(text: string): number {
  const value = amount(text)
  if (!Number.isInteger(value)) throw new InvalidArgumentError('expected a whole number, at least 0')
  return value
}

/** A share as 0.05 or 5%. */
export function share(text: string): number {
  const value = /%\s*$/.test(text) ? Number(text.replace(/%\s*$/, '')) / 100 : Number(text)
  if (text.trim() === '' || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError('expected a share, such as 0.05 or 5%')
  }
  return value
}

export function finiteNumber(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('expected a number')
  return value
}
