#!/usr/bin/env node
import { setFlagsFromString } from 'node:v8'
import type { Service } from './start.ts'

// V8 starts with 1 MiB for young objects and would copy them seven times on the way to its 16: everything that a client
// brings is there to stay, so that is a tenth of what a connect costs in the first thousands.
setFlagsFromString('--semi-space-growth-factor=16')

// Signals are heard from the first moment on: what start.ts imports takes a while to load, and a signal meanwhile
// must end in exit code 0 too.
let service: Service | undefined
let isStopping = false

/** A second signal changes nothing: the first has a deadline. */
function stop(cause: string): void {
  if (isStopping) return
  isStopping = true
  if (service === undefined) process.exit(0)
  void service.stop(cause)
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal))
// A worker whose supervisor is gone would never be told to stop.
process.on('disconnect', () => stop('disconnect'))

const { start } = await import('./start.ts')
service = await start()
