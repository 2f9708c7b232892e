/** Finds and loads the addon: the one built in this folder first, then the prebuilt one that the package carries. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AdjudgeError } from '../errors.js'
import type { NativeAddon } from './native.js'

/** The package's root: this file is one folder below src/ or dist/. */
export const packageRoot = fileURLToPath(new URL('../..', import.meta.url))

let loaded: NativeAddon | undefined

/** Where an addon may lie, in the order of trying. `ADJUDGE_ADDON` names another file, e.g. a debug build. */
export function addonCandidates(): string[] {
  const named = process.env.ADJUDGE_ADDON
  if (named) return [resolve(named)]
  return [
    resolve(packageRoot, 'build', 'Release', 'adjudge.node'),
    resolve(packageRoot, 'prebuilds', `${process.platform}-${process.arch}`, 'adjudge.node')
  ]
}

/**
 * The native addon, loaded once per thread.
 * @throws AdjudgeError `ADDON_NOT_BUILT` with every place that was tried, why it failed, and what to do.
 */
export function loadAddon(): NativeAddon {
  if (loaded) return loaded
  const require = createRequire(import.meta.url)
  const reasons: string[] = []
  const causes: unknown[] = []
  for (const path of addonCandidates()) {
    if (!existsSync(path)) {
      reasons.push(`  ${path}: does not exist`)
      continue
    }
    try {
      loaded = require(path) as NativeAddon
      return loaded
    } catch (error) {
      causes.push(error)
      reasons.push(`  ${path}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  throw new AdjudgeError(
    'ADDON_NOT_BUILT',
    `The native addon for ${process.platform}-${process.arch} (Node ${process.versions.node}) cannot be loaded:\n` +
      `${reasons.join('\n')}\nBuild it with: npx adjudge build   (needs g++, cmake and make)`,
    causes.length > 0 ? { cause: causes.length === 1 ? causes[0] : new AggregateError(causes) } : undefined
  )
}
