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
