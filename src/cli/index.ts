#!/usr/bin/env node
import { run } from './program.js'

// Whoever reads has gone (`| head`): the end a shell expects of it, 128 + SIGPIPE.
process.stdout.on('error', ({ code }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE') process.exit(141)
})

process.exitCode = await run(process.argv.slice(2))
