import type { Service } from './start.ts'

// Signals are heard from the first moment on: what start.ts imports takes a while to load, and a signal meanwhile
// must end in exit code 0 too.
let service: Service | undefined
let isStopping = false

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    // A second signal changes nothing: the first has a deadline.
    if (isStopping) return
    isStopping = true
    if (service === undefined) process.exit(0)
    void service.stop(signal)
  })
}

const { start } = await import('./start.ts')
service = await start()
