import type { Platform } from './platform.ts'

/**
 * Calls `then` after `ms`; returns what stops it. A timer that fires late by more than its own length was frozen with its
 * page, and proves nothing: it waits once more.
 */
export function deadline(platform: Platform, ms: number, then: () => void): () => void {
  let timer: unknown
  const arm = (isAgain: boolean) => {
    const dueAtMs = platform.now() + ms
    timer = platform.setTimeout(() => {
      if (!isAgain && platform.now() - dueAtMs > ms) arm(true)
      else then()
    }, ms)
  }
  arm(false)
  return () => platform.clearTimeout(timer)
}
