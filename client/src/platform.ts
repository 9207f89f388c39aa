/** What the client takes from where it runs; tests have their own. */
export interface Platform {
  /** Milliseconds of a clock that does not jump. */
  now(): number
  setTimeout(then: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
  /** From 0 to below 1. */
  random(): number
  WebSocket: (new (url: string) => WebSocket) | undefined
  fetch: typeof fetch | undefined
  /** Calls `listener` when a page wakes up or the network is back; returns what takes it off. */
  onWake(listener: () => void): () => void
}

/** Longer ones would fire at once. */
const TIMER_MAX_MS = 2 ** 31 - 1

type Target = Pick<EventTarget, 'addEventListener' | 'removeEventListener'>

/** The platform that there is. Looks for each thing alone, and infers nothing from one about another. */
export function platform(): Platform {
  const { document, addEventListener } = globalThis as { document?: Document; addEventListener?: unknown }
  const events: [Target, string][] = []
  if (typeof addEventListener === 'function')
    for (const name of ['online', 'pageshow']) events.push([globalThis as unknown as Target, name])
  if (document !== undefined) for (const name of ['visibilitychange', 'resume']) events.push([document, name])
  return {
    now: () => performance.now(),
    setTimeout: (then, ms) => setTimeout(then, Math.min(ms, TIMER_MAX_MS)),
    clearTimeout: (timer) => clearTimeout(timer as number),
    random: Math.random,
    WebSocket: globalThis.WebSocket,
    fetch: globalThis.fetch?.bind(globalThis),
    onWake(listener) {
      const wake = ({ type }: Event) => {
        if (type !== 'visibilitychange' || document?.visibilityState === 'visible') listener()
      }
      for (const [target, name] of events) target.addEventListener(name, wake)
      return () => {
        for (const [target, name] of events) target.removeEventListener(name, wake)
      }
    },
  }
}
