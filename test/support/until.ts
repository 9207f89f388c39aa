// Waiting without sleeping: a probe is asked again after every event, until it answers or its deadline passes.
import { setTimeout as delay } from 'node:timers/promises'

/** What a probe answers while the thing it waits for is not there yet. */
export type Maybe<T> = T | undefined | false | null

/** Wakes whoever waits; every source of events calls `notify` once for each. */
export class Notifier {
  #waiters = new Set<() => void>()

  notify(): void {
    for (const waiter of [...this.#waiters]) waiter()
  }

  /** Resolves with the first answer of `probe`; rejects with `what` when none came within `deadlineMs`. */
  until<T>(what: string | (() => string), probe: () => Maybe<T>, deadlineMs = 15_000): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        this.#waiters.delete(look)
        finish()
      }
      const look = () => {
        try {
          const answer = probe()
          if (answer !== undefined && answer !== false && answer !== null) settle(() => resolve(answer))
        } catch (error) {
          settle(() => reject(error))
        }
      }
      const timer = setTimeout(() => {
        const text = typeof what === 'string' ? what : what()
        settle(() => reject(new Error(`not within ${deadlineMs} ms: ${text}`)))
      }, deadlineMs)
      this.#waiters.add(look)
      look()
    })
  }
}

/** For what raises no event here (a count in /health, a file of /proc): asks again every 10 ms. */
export async function pollUntil<T>(
  what: string,
  probe: () => Promise<Maybe<T>> | Maybe<T>,
  deadlineMs = 15_000,
): Promise<T> {
  const endMs = performance.now() + deadlineMs
  for (;;) {
    const answer = await probe()
    if (answer !== undefined && answer !== false && answer !== null) return answer
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${what}`)
    await delay(10)
  }
}

/** Pacing of a stimulus ("every 20 ms"), never a wait for an outcome. */
export const pace = (ms: number): Promise<void> => delay(ms)
