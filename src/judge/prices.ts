/** List prices, so that a verdict carries its cost. A model that is not listed has cost null: unknown, not free. */
import type { Usage } from './types.js'

/** US dollars per million tokens. */
export interface Price {
  input: number
  output: number
}

/** When the table was last compared with the providers' own pages. Override with `priceTable` where it is stale. */
export const priceTableDate = '2025-12-01'

/** A name matches itself and its dated versions (`gpt-4.1-mini-2025-04-14`, `claude-sonnet-4-5-20250929`). */
export const priceTable: Readonly<Record<string, Readonly<Record<string, Price>>>> = {
  openai: {
    'gpt-5': { input: 1.25, output: 10 },
    'gpt-5-mini': { input: 0.25, output: 2 },
    'gpt-5-nano': { input: 0.05, output: 0.4 },
    'gpt-4.1': { input: 2, output: 8 },
    'gpt-4.1-mini': { input: 0.4, output: 1.6 },
    'gpt-4.1-nano': { input: 0.1, output: 0.4 },
    'gpt-4o': { input: 2.5, output: 10 },
    'gpt-4o-mini': { input: 0.15, output: 0.6 },
    o3: { input: 2, output: 8 },
    'o4-mini': { input: 1.1, output: 4.4 }
  },
  anthropic: {
    'claude-opus-4-5': { input: 5, output: 25 },
    'claude-opus-4-1': { input: 15, output: 75 },
    'claude-sonnet-4-5': { input: 3, output: 15 },
    'claude-haiku-4-5': { input: 1, output: 5 },
    'claude-3-5-haiku': { input: 0.8, output: 4 }
  }
}

/**
 * The price of a model, or null. Servers of one's own (`ownServer`) have no list price; local providers cost 0.
 */
export function priceOf(
  provider: string,
  model: string,
  ownServer: boolean,
  overrides: Record<string, Price> = {}
): Price | null {
  const override = overrides[model]
  if (override) return override
  if (['native', 'function', 'ollama', 'onnx'].includes(provider)) return { input: 0, output: 0 }
  if (ownServer) return null
  const table = priceTable[provider] ?? {}
  return table[model] ?? table[model.replace(/-(\d{8}|\d{4}-\d{2}-\d{2}|latest)$/, '')] ?? null
}

/** US dollars. */
export function costOf(usage: Usage, price: Price | null): number | null {
  return price ? (usage.inputTokens * price.input + usage.outputTokens * price.output) / 1e6 : null
}
