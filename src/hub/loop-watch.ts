import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'

/** How often the timer behind it fires; every reading has this in it. */
const RESOLUTION_MS = 10
const WINDOW_MS = 5000
/** When nobody has asked for so long, it stops, and costs nothing. */
const IDLE_MS = 30_000

/** How long the event loop was held up, for who asks again and again. */
export class LoopWatch {
  #delays: IntervalHistogram | undefined
  #turnedAtMs = 0
  #worstBeforeMs = 0
  #idle: NodeJS.Timeout | undefined

  /** The longest that it was held up within the last 5 to 10 seconds; undefined when it is only watched from now on. */
  worstMs(): number | undefined {
    this.#idle ??= setTimeout(() => this.close(), IDLE_MS).unref()
    this.#idle.refresh()
    if (this.#delays === undefined) {
      this.#delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
      this.#delays.enable()
      this.#turnedAtMs = performance.now()
      return undefined
    }
    const worst = Math.max(0, this.#delays.max / 1e6 - RESOLUTION_MS)
    const worstMs = Math.max(worst, this.#worstBeforeMs)
    if (performance.now() - this.#turnedAtMs >= WINDOW_MS) {
      this.#worstBeforeMs = worst
      this.#turnedAtMs = performance.now()
      this.#delays.reset()
    }
    return Math.round(worstMs * 10) / 10
  }

  close(): void {
    clearTimeout(this.#idle)
    this.#idle = undefined
    this.#delays?.disable()
    this.#delays = undefined
    this.#worstBeforeMs = 0
  }
}
