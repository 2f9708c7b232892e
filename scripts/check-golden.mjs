// npm run check:golden -- FOLDER [MODELS]: compares this build with golden values of its peers. FOLDER is laid out as
// models/NAME/, rl/, NAME-instruct.json; MODELS holds the real models that the latter speak of. What is absent or not
// supported is skipped with a line.
import { existsSync } from 'node:fs'
import { checkModels } from './check-golden/models.mjs'

const [folder, models] = process.argv.slice(2)
if (!folder || !existsSync(folder)) {
  console.error('usage: npm run check:golden -- FOLDER [MODELS]   (FOLDER: golden values; MODELS: real models)')
  process.exit(2)
}
const adjudge = await import('../dist/index.js')
const { loadAddon } = await import('../dist/binding/load.js')

let failed = 0
function print(subject, { met, notMet, skipped, worst }) {
  for (const { name, reason } of notMet) console.log(`not met  ${subject}: ${name}: ${reason}`)
  if (Array.isArray(skipped)) for (const line of skipped) console.log(`skipped  ${line}`)
  else console.log(`skipped  ${subject}: ${skipped} cases of what is not built`)
  for (const [kind, value] of Object.entries(worst))
    console.log(`worst    ${subject} ${kind}: ${value.toExponential(2)}`)
  console.log(`${subject}: ${met} met, ${notMet.length} not met`)
  failed += notMet.length
}

print('models', await checkModels(folder, adjudge, (path) => loadAddon().readSafetensors(path), models))
if (existsSync(new URL('./check-golden/rl.mjs', import.meta.url))) {
  const { checkRl } = await import('./check-golden/rl.mjs')
  print('rl', await checkRl(folder, await import('../dist/rl/index.js')))
}
process.exit(failed > 0 ? 1 : 0)
