/** The two clocks of the core, given from outside so that tests can turn them. */
export interface Clock {
  /** Milliseconds that only ever go forward, for intervals. */
  steadyMs(): number
  /** Unix time in milliseconds, for what others are told and for tokens. */
  wallMs(): number
}

export const systemClock: Clock = {
  steadyMs: () => performance.now(),
  wallMs: () => Date.now(),
}

/** Calls later; given from outside as the clocks are. */
export interface Timers {
  /** Calls `then`, which must not throw, in `ms`; at the turn's end for 0. Returns what calls it off. */
  after(ms: number, then: () => void): () => void
}

export const systemTimers: Timers = {
  after(ms, then) {
    if (ms <= 0) {
      const immediate = setImmediate(then)
      return () => clearImmediate(immediate)
    }
    const timer = setTimeout(then, ms).unref()
    return () => clearTimeout(timer)
  },
}
