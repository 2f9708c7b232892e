/**
 * Keys by the names of their variables: from the environment, else from a file of the user's own
 * (`ADJUDGE_SECRETS`, or `~/.config/adjudge/secrets.yaml`): lines of `OPENAI_API_KEY: …`. Never from a run's folder.
 */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseDocument } from 'yaml'
import { AdjudgeError } from '../errors.js'

/** Throws JUDGE_INVALID on a secrets file that others may read, that lies in a run's folder, or that cannot be read. */
export function secretNamed(name: string): string | undefined {
  // A key read from a file often ends with a line's end, which no header may hold.
  return (process.env[name] ?? fromFile(name))?.trim() || undefined
}

function fromFile(name: string): string | undefined {
  const given = process.env.ADJUDGE_SECRETS
  const path = resolve(given ?? join(process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config'), 'adjudge/secrets.yaml'))
  const invalid = (what: string): AdjudgeError => new AdjudgeError('JUDGE_INVALID', `secrets file ${path}: ${what}`)
  if (!existsSync(path)) {
    if (given === undefined) return undefined
    throw invalid('no such file; ADJUDGE_SECRETS names it')
  }
  const { mode } = statSync(path)
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw invalid(`others may read it (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`)
  }
  if (inRunFolder(path)) throw invalid("it lies in a run's folder, which is passed on and kept; move it elsewhere")
  // Without the lines that an error would quote: they hold keys.
  const document = parseDocument(readFileSync(path, 'utf8'), { prettyErrors: false })
  const value: unknown = document.errors.length > 0 ? undefined : document.toJS()
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('expected lines of NAME: key, e.g. OPENAI_API_KEY: …')
  }
  const secret = (value as Record<string, unknown>)[name]
  if (secret !== undefined && typeof secret !== 'string') throw invalid(`${name} is no text; put it in quotes`)
  return secret
}

function inRunFolder(path: string): boolean {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'config.yaml')) && existsSync(join(folder, 'metrics.jsonl'))) return true
    if (folder === dirname(folder)) return false
  }
}
