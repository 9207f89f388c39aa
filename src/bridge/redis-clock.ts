/** How much two clocks may drift apart: a millisecond in ten seconds. */
const DRIFT = 1e-4

/**
 * A Redis server's clock, as its answers tell it. An answer is half of its way old, more or less, so the fastest recent
 * one is believed. Our side is the steady clock: nobody sets that.
 */
export class RedisClock {
  /** The server's clock minus ours. */
  #offsetMs = 0
  #errorMs = Infinity
  #knownAtMs = 0

  /** Takes in that the server answered `serverMs` (Unix time) to what was sent and answered at these steady times. */
  note(sentAtMs: number, answeredAtMs: number, serverMs: number): void {
    const errorMs = (answeredAtMs - sentAtMs) / 2
    const offsetMs = serverMs - (sentAtMs + answeredAtMs) / 2
    const knownErrorMs = this.#errorMs + (answeredAtMs - this.#knownAtMs) * DRIFT
    // A clock that was set, there or by a pause of this machine, disagrees with what was known of it.
    const wasSet = Math.abs(offsetMs - this.#offsetMs) > errorMs + knownErrorMs
    if (!wasSet && errorMs > knownErrorMs) return
    this.#offsetMs = offsetMs
    this.#errorMs = errorMs
    this.#knownAtMs = answeredAtMs
  }

  /** What the server's clock shows at a time of ours, in Unix milliseconds. */
  at(steadyMs: number): number {
    return steadyMs + this.#offsetMs
  }
}
