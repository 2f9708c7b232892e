/**
 * The layer rule for native/: napi -> device -> rl, reference, cuda, model, io -> cpu -> rules -> core. An #include never
 * points up, there is no circle of headers, and napi.h is included in native/napi/setup.h alone. Tests may include
 * everything.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const native = join(dirname(fileURLToPath(import.meta.url)), '..', 'native')
const levels = {
  core: 0,
  rules: 1,
  cpu: 2,
  reference: 3,
  cuda: 3,
  io: 3,
  model: 3,
  rl: 3,
  device: 4,
  check: 5,
  napi: 5
}

function resolveInclude(from, target) {
  const candidates = [join(dirname(from), target), target, target.replace(/^native\//, '')].map(normalize)
  return candidates.find((path) => existsSync(join(native, path)))
}

/** Resolves with a list of faults, one line each. */
export function checkNativeLayers() {
  const faults = []
  const includes = new Map()
  for (const folder of readdirSync(native)) {
    if (folder === 'tests') continue
    if (!(folder in levels)) {
      faults.push(`native/${folder}: a new folder needs its level in scripts/layers.mjs`)
      continue
    }
    for (const name of readdirSync(join(native, folder))) {
      if (!/\.(h|cpp|cu|cuh|inc)$/.test(name)) continue
      const file = `${folder}/${name}`
      const text = readFileSync(join(native, file), 'utf8')
      if (/#\s*include\s*[<"]napi\.h[>"]/.test(text) && file !== 'napi/setup.h') {
        faults.push(`native/${file}: includes napi.h; include napi/setup.h instead`)
      }
      const targets = [...text.matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)]
        .map((match) => resolveInclude(file, match[1]))
        .filter((target) => target !== undefined)
      includes.set(file, targets)
      for (const target of targets) {
        const above = target.split('/')[0]
        if (!(above in levels) || levels[above] > levels[folder]) {
          faults.push(`native/${file}: includes ${target}, which lies above ${folder}/`)
        }
      }
    }
  }
  const done = new Set()
  const visit = (file, trail) => {
    if (trail.includes(file)) {
      faults.push(`native: circle of headers ${[...trail.slice(trail.indexOf(file)), file].join(' -> ')}`)
      return
    }
    if (done.has(file)) return
    for (const target of includes.get(file) ?? []) visit(target, [...trail, file])
    done.add(file)
  }
  for (const file of includes.keys()) visit(file, [])
  return faults
}
