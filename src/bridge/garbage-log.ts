import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'

/** At most one warning in this time. */
const WARNING_MS = 10_000

/** Counts what comes on our channels and is none of ours, and says so now and then. */
export class GarbageLog {
  readonly #clock: Clock
  readonly #log: Log
  #count = 0
  #warnedAtMs = -Infinity

  constructor(clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
  }

  noteUnless(isOurs: boolean): void {
    if (isOurs) return
    const now = this.#clock.steadyMs()
    this.#count++
    if (now - this.#warnedAtMs < WARNING_MS) return
    this.#warnedAtMs = now
    this.#log.warn({ count: this.#count }, 'dropped what no node of this version has published')
  }
}
