#!/usr/bin/env node
import { argv } from 'node:process'

// Without arguments it is the server, whose signals, workers and start failures are its own affair; nothing else loads.
if (argv.length === 2) await import('../src/server.ts')
else {
  const { Command } = await import('commander')
  const { conformanceCommand } = await import('./conformance.ts')
  const program = new Command('roomcast')
    .description('A self-hosted real-time hub. Without a command it starts the server.')
    // Commander's own 1 would be taken for checks that failed.
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .addCommand(conformanceCommand())
  await program.parseAsync()
}
