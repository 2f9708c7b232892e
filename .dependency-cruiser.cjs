/**
 * The layer rule: cli, server -> train, report -> judge, graders, policy, rl, data, tasks -> binding. An import never
 * points up, and never in a circle. Files directly in src/ (errors.ts and the like) lie below all folders, src/index.ts
 * above them. The same rule for native/ is checked by scripts/layers.mjs.
 */
const layers = [
  ['binding'],
  ['judge', 'graders', 'policy', 'rl', 'data', 'tasks'],
  ['train', 'report'],
  ['cli', 'server']
]

const path = (folders) => `^src/(${folders.join('|')})/`
const upward = layers.slice(0, -1).map((layer, index) => ({
  name: `no-import-up-from-${layer[0]}`,
  comment: 'An import never points up the layers.',
  severity: 'error',
  from: { path: path(layer) },
  to: { path: [path(layers.slice(index + 1).flat()), '^src/index\\.ts$'] }
}))

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...upward,
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'root-files-below-folders',
      comment: 'What every layer may import imports no layer itself.',
      severity: 'error',
      from: { path: '^src/[^/]+\\.ts$', pathNot: '^src/index\\.ts$' },
      to: { path: '^src/[^/]+/' }
    },
    {
      name: 'known-folders-only',
      comment: 'A new folder of src/ needs its place in the layers above.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: path(layers.flat()) },
      to: {}
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'no-dev-dependency-in-product',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] }
    },
    {
      name: 'product-imports-no-test',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(tests|bench|scripts|examples)/' }
    }
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'types', 'default'] }
  }
}
