/** Before `npm pack`: builds dist/ and the addon, and puts the addon where the package carries it. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { buildAddon, builtAddon, prebuiltAddon, root } from './install.mjs'

await buildAddon()
mkdirSync(dirname(prebuiltAddon), { recursive: true })
copyFileSync(builtAddon, prebuiltAddon)
spawnSync('strip', ['--strip-unneeded', prebuiltAddon])
const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'dist.mjs')], { stdio: 'inherit' })
process.exit(status ?? 1)
