/** `adjudge merge`: a model and its adapter become one Transformers folder. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { openPolicy } from './model.js'

export const mergeCommand = (): Command =>
  new Command('merge')
    .description("put an adapter into the weights of its model; a run's heads go along")
    .argument('<model>', 'a Transformers folder or a GGUF file')
    .argument('<adapter>', 'a PEFT folder, for example a checkpoint of a run')
    .argument('<out>', 'the folder to write')
    .action(async (model: string, adapter: string, out: string) => {
      using policy = await openPolicy(model, { adapter })
      if (existsSync(join(adapter, 'heads'))) await policy.loadHeads(adapter)
      await policy.save(out, { format: 'transformers' })
      console.log(`merged: ${out}`)
    })
