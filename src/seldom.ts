import type { Clock } from './clock.ts'

/** One line of a kind in this time. */
const EVERY_MS = 1000

/** For log lines about what a peer can bring about as often as it likes: one a second, with their number. */
export class Seldom {
  readonly #clock: Clock
  #untold = 0
  #toldAtMs = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Counts one more. When a line is due, returns how many there were since the one before, else undefined. */
  add(): number | undefined {
    this.#untold++
    const nowMs = this.#clock.steadyMs()
    if (nowMs - this.#toldAtMs < EVERY_MS) return undefined
    this.#toldAtMs = nowMs
    const count = this.#untold
    this.#untold = 0
    return count
  }
}
