/** `adjudge build`: compiles the native addon where no prebuilt one fits, and the CUDA kernels where nvcc is. */
import { Command } from 'commander'
import { buildAddon } from '../binding/build.js'

export const buildCommand = (): Command =>
  new Command('build')
    .description(
      'compile the native addon on this machine (needs g++, cmake and make), and where nvcc is the CUDA kernels'
    )
    .action(() => buildAddon())
