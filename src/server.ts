#!/usr/bin/env node
import cluster from 'node:cluster'
import { setFlagsFromString } from 'node:v8'
import { CANNOT_START, cannotStart, checkDescriptors, reasonOf } from './cannot-start.ts'
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

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const)
  process.on(signal, () => stop(signal))
const { worker } = cluster
if (worker !== undefined) {
  // A worker whose first process is gone would never be told to stop. Any other's channel is no affair of ours.
  process.prependListener('disconnect', () => {
    // Else node:cluster's own listener ends the process at once.
    worker.exitedAfterDisconnect = true
    stop('disconnect')
  })
  // A word to a first process that is gone; 'disconnect' follows.
  worker.on('error', () => {})
}

try {
  checkDescriptors()
  const { start } = await import('./start.ts')
  service = await start(stop)
} catch (error) {
  const reason = reasonOf(error)
  if (reason === undefined) throw error
  if (worker === undefined) cannotStart(reason)
  // The first process says it, once for all of them.
  worker.send({ cannotStart: reason }, undefined, () => process.exit(CANNOT_START))
}
