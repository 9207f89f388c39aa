import { setImmediate as turnsEnd } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Distribution } from '../distribution.ts'
import { type BackEnd, newId } from '../hooks/back-end.ts'
import { Unanswered } from '../hooks/hook-bounds.ts'
import type { Log } from '../log.ts'
import { EventQueue } from './event-queue.ts'
import { bodyOf, type EventName, type WebhookFormat } from './events.ts'

const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000
/** A receiver may ask for a longer one. */
const LONGEST_WISH_MS = 10 * 60_000

export interface WebhookOptions {
  backEnd: Pick<BackEnd, 'post' | 'close'>
  /** Of the receiver, for the log. */
  host: string
  format: WebhookFormat
  timeoutMs: number
  maxBytes: number
  /** A batch that is refused for so long is dropped, so that it does not hold up what is behind it for ever. */
  giveUpMs: number
  /** How long the requests took, in ms. */
  times: Distribution
  clock: Clock
  log: Log
}

/** Sends events to one receiver, a request at a time, so that they keep their order; a failed one is sent again. */
export class Webhook {
  readonly queue: EventQueue
  /** Events that were taken. */
  sent = 0
  /** Requests that failed. */
  failures = 0
  readonly #options: WebhookOptions
  #running: Promise<void> | undefined
  #isEnded = false
  #isFailing = false
  /** Events dropped since the receiver last took one. */
  #dropped = 0
  /** Ends the request or the pause under way. */
  #interrupt: () => void = () => undefined

  constructor(options: WebhookOptions) {
    this.#options = options
    this.queue = new EventQueue(options.maxBytes)
  }

  add(type: EventName, text: string): void {
    if (!this.queue.add(type, text)) this.#drop(1, 'the queue is full')
    this.#running ??= this.#run()
  }

  /** Sends what is left for at most `graceMs`, then gives up. */
  async close(graceMs: number): Promise<void> {
    const timer = setTimeout(() => this.#end(), graceMs)
    await this.#running
    clearTimeout(timer)
    const { backEnd, host, log } = this.#options
    if (this.queue.size > 0) log.warn({ host, events: this.queue.size }, 'webhook events lost at the end')
    await backEnd.close()
  }

  #end(): void {
    this.#isEnded = true
    this.#interrupt()
  }

  async #run(): Promise<void> {
    // What happens in the same turn goes together.
    await turnsEnd()
    while (this.queue.size > 0 && !this.#isEnded) await this.#deliver(this.queue.batch())
    this.#running = undefined
  }

  /** Until the receiver has taken it; the same request each time, so that it can tell repeats. */
  async #deliver(batch: readonly string[]): Promise<void> {
    const { body, contentType } = bodyOf(batch, this.#options.format)
    const id = newId()
    const { clock, giveUpMs } = this.#options
    const beganMs = clock.steadyMs()
    for (let pauseMs = FIRST_PAUSE_MS; !this.#isEnded; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const fault = await this.#send(body, { id, contentType })
      if (fault === undefined) {
        this.queue.remove(batch.length)
        this.sent += batch.length
        return
      }
      if (clock.steadyMs() - beganMs >= giveUpMs) {
        this.queue.giveUp(batch.length)
        this.#drop(batch.length, 'refused for too long')
        return
      }
      const wishMs = (fault instanceof Unanswered && fault.retryAfterMs) || 0
      // Full jitter: nodes that failed together do not come back together.
      if (!this.#isEnded) await this.#pause(Math.min(wishMs, LONGEST_WISH_MS) + Math.random() * pauseMs)
    }
  }

  /** The first of a run is logged; how many there were, when the receiver is back. */
  #drop(count: number, reason: string): void {
    const { host, log } = this.#options
    if (this.#dropped === 0) log.warn({ host, reason }, 'webhook events dropped')
    this.#dropped += count
  }

  /** Why the receiver has not taken it; undefined when it has. */
  async #send(body: string, as: { id: string; contentType: string }): Promise<Error | undefined> {
    const { backEnd, host, timeoutMs, times, clock, log } = this.#options
    const startedAtMs = clock.steadyMs()
    const attempt = new AbortController()
    this.#interrupt = () => attempt.abort()
    const tooLong = new Unanswered(`no answer within ${timeoutMs} ms`)
    const timer = setTimeout(() => attempt.abort(tooLong), timeoutMs)
    try {
      await backEnd.post(body, attempt.signal, as)
      if (this.#isFailing || this.#dropped > 0)
        log.info({ host, dropped: this.#dropped }, 'webhook recovered')
      this.#isFailing = false
      this.#dropped = 0
      return undefined
    } catch (error) {
      this.failures++
      const fault = error as Error
      // What the end cuts short says nothing of the receiver.
      if (!this.#isFailing && !this.#isEnded) log.warn({ host, reason: fault.message }, 'webhook failing')
      this.#isFailing = true
      return fault
    } finally {
      clearTimeout(timer)
      times.add(clock.steadyMs() - startedAtMs)
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#interrupt = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
