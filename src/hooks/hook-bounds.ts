import type { Clock } from '../clock.ts'
import { Distribution } from '../distribution.ts'
import type { Log } from '../log.ts'
import { Seldom } from '../seldom.ts'
import { type Answer, type Asking, Denial, type HookName, hookNames } from './hooks.ts'

/** What all hooks and calls under way may take of memory: what is asked, and what has come of the answers. */
const BYTES = 64 * 1024 * 1024
/** An upgrade that has no answer by 3.5 s is cut (plugins/upgrade-guard.ts). */
const CONNECT_MS = 3000

export interface HookBoundsOptions {
  /** How long an answer is waited for. */
  hookTimeoutMs: number
  /** Hooks and calls under way. */
  hookMaxPending: number
  /** `open`: what cannot be asked is taken for allowed. */
  hookFail: 'closed' | 'open'
  log: Log
  clock: Clock
}

/** Milliseconds, from a function of the app to a back end that is slow. */
export const TIMES_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]

/** How a hook has done. */
export interface HookSeen {
  /** Of those that were waited for. */
  times: Distribution
  failures: number
}

/** A hook could not be asked, or not in time; that it is worth another try is what the peer is told. */
export class Unanswered extends Error {
  override name = 'Unanswered'
  /** What the answer says of when to try again. */
  readonly retryAfterMs: number | undefined

  constructor(message: string, retryAfterMs?: number) {
    super(message)
    this.retryAfterMs = retryAfterMs
  }
}

/** One hook or call: `bytes` is what it keeps in memory meanwhile. */
export interface Ask {
  hook: HookName
  asking: Asking
  bytes: number
}

/** How many questions are under way, for how long, and what it means when one fails. */
export class HookBounds {
  readonly seen = Object.fromEntries(
    hookNames.map((hook) => [hook, { times: new Distribution(TIMES_MS), failures: 0 }]),
  ) as Record<HookName, HookSeen>
  readonly #options: HookBoundsOptions
  #pending = 0
  #bytes = 0
  readonly #lines: Record<HookName, Seldom>

  constructor(options: HookBoundsOptions) {
    this.#options = options
    const line = () => new Seldom(options.clock)
    this.#lines = { connect: line(), join: line(), publish: line(), call: line() }
  }

  /** Takes so many bytes more; false when that is too much, and nothing is taken. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > BYTES) return false
    this.#bytes += bytes
    return true
  }

  give(bytes: number): void {
    this.#bytes -= bytes
  }

  /** Asks by calling `put`. Waits for nothing when that has its answer at once. */
  ask<T>(one: Ask, put: () => T | Denial | Promise<T | Denial>): Answer<T> {
    const { hook, bytes } = one
    // Whatever HOOK_FAIL says: else a crowd could get past the hooks.
    if (this.#pending >= this.#options.hookMaxPending || !this.take(bytes)) {
      this.#log(hook, 'too many are under way')
      return new Denial('unavailable', 'too much is asked at present')
    }
    let isWaiting = false
    try {
      const answer = put()
      if (!(answer instanceof Promise)) return answer
      isWaiting = true
      return this.#wait(one, answer)
    } catch (error) {
      return this.#failed(hook, error)
    } finally {
      if (!isWaiting) this.give(bytes)
    }
  }

  /** A host's promise may never settle: it is waited for until the deadline, or the client has gone. */
  async #wait<T>({ hook, asking, bytes }: Ask, answer: Promise<T | Denial>): Promise<T | Denial> {
    this.#pending++
    const startedAtMs = this.#options.clock.steadyMs()
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<T | Denial>((resolve, reject) => {
        let isLate = false
        asking.onceOver(() => {
          if (isLate) reject(new Unanswered('no answer in time'))
          else resolve(new Denial('unavailable', 'the client has gone'))
        })
        answer.then(resolve, reject)
        const end = () => {
          isLate = true
          asking.end()
        }
        const { hookTimeoutMs } = this.#options
        timer = setTimeout(end, hook === 'connect' ? Math.min(hookTimeoutMs, CONNECT_MS) : hookTimeoutMs)
      })
    } catch (error) {
      return this.#failed<T>(hook, error)
    } finally {
      clearTimeout(timer)
      this.seen[hook].times.add(this.#options.clock.steadyMs() - startedAtMs)
      this.#pending--
      this.give(bytes)
    }
  }

  #failed<T>(hook: HookName, error: unknown): T | Denial {
    const isUnanswered = error instanceof Unanswered
    this.#log(hook, isUnanswered ? error.message : error)
    // What is undefined changes nothing; a call has nothing to give instead of its result.
    if (this.#options.hookFail === 'open' && hook !== 'call') return undefined as T
    return isUnanswered
      ? new Denial('unavailable', 'no answer at present')
      : new Denial('internal', 'the server failed')
  }

  /** A hook that is down fails for each request: that is a line a second, with their number. */
  #log(hook: HookName, fault: unknown): void {
    this.seen[hook].failures++
    const failures = this.#lines[hook].add()
    if (failures === undefined) return
    const { log } = this.#options
    if (typeof fault === 'string') log.warn({ hook, failures, reason: fault }, 'hook failed')
    else log.error({ hook, failures, err: fault }, 'hook failed')
  }
}
