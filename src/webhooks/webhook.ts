import { setImmediate as turnsEnd } from 'node:timers/promises'
import { type BackEnd, newId } from '../hooks/back-end.ts'
import type { Log } from '../log.ts'
import { EventQueue } from './event-queue.ts'
import { bodyOf, type EventName, type WebhookFormat } from './events.ts'

const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000

export interface WebhookOptions {
  backEnd: Pick<BackEnd, 'post' | 'close'>
  /** Of the receiver, for the log. */
  host: string
  format: WebhookFormat
  timeoutMs: number
  maxBytes: number
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
  /** Ends the request or the pause under way. */
  #interrupt: () => void = () => undefined

  constructor(options: WebhookOptions) {
    this.#options = options
    this.queue = new EventQueue(options.maxBytes)
  }

  add(type: EventName, text: string): void {
    this.queue.add(type, text)
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
    for (let pauseMs = FIRST_PAUSE_MS; !this.#isEnded; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      if (await this.#isTaken(body, { id, contentType })) {
        this.queue.remove(batch.length)
        this.sent += batch.length
        return
      }
      // Full jitter: nodes that failed together do not come back together.
      if (!this.#isEnded) await this.#pause(Math.random() * pauseMs)
    }
  }

  async #isTaken(body: string, as: { id: string; contentType: string }): Promise<boolean> {
    const { backEnd, host, timeoutMs, log } = this.#options
    const attempt = new AbortController()
    this.#interrupt = () => attempt.abort()
    const timer = setTimeout(this.#interrupt, timeoutMs)
    try {
      await backEnd.post(body, attempt.signal, as)
      if (this.#isFailing) log.info({ host }, 'webhook recovered')
      this.#isFailing = false
      return true
    } catch (error) {
      this.failures++
      const { message } = error as Error
      if (!this.#isFailing) log.warn({ host, reason: message }, 'webhook failing')
      this.#isFailing = true
      return false
    } finally {
      clearTimeout(timer)
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
