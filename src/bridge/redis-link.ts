import type { Log } from '../log.ts'
import type { LinkStatus } from './bridge.ts'
import type { RedisClient } from './redis-client.ts'
import { describeFault } from './redis-fault.ts'

/**
 * One connection's timing. A link that is dead but not closed is noticed within PROBE_INTERVAL + PROBE_TIMEOUT. A new one
 * has CONNECT_TIMEOUT from its last progress: a hundred thousand channels take longer than one.
 */
const CONNECT_TIMEOUT_MS = 4000
const PROBE_INTERVAL_MS = 1000
const PROBE_TIMEOUT_MS = 2000
/** Between attempts; the cap keeps the return within seconds of Redis's own. */
const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 1000

/** State changes that are logged in a time; /health has them all. */
const LOG_LINES_A_WINDOW = 6
const LOG_WINDOW_MS = 3000

export interface RedisLinkOptions {
  name: 'publisher' | 'subscriber'
  log: Log
  /** What log lines say of the server, beside the link's name. */
  fields(): object
  /** Makes a client, not yet connected. */
  create(): RedisClient
  /** Makes a new connection ready for use, calling `progress` on the way; a rejection gives the connection up. */
  prepare(client: RedisClient, progress: () => void): Promise<void>
  onUp?(): void
  /** Asks the server for a sign of life; a rejection, or none in time, gives the connection up. */
  probe(client: RedisClient): Promise<void>
  onDown(): void
}

/** Keeps one connection to Redis up: connects, prepares, probes it with a deadline, and begins anew when it is lost. */
export class RedisLink {
  readonly #options: RedisLinkOptions
  #client: RedisClient | undefined
  #status: LinkStatus = { state: 'down', reason: 'connecting' }
  #isClosed = false
  #windowAt = -Infinity
  #lines = 0
  /** Why the present connection is given up, once it is. */
  #fault: Error | undefined
  #onFault: ((error: Error) => void) | undefined
  #wake: (() => void) | undefined
  #running: Promise<void> | undefined
  readonly #waiting = new Set<() => void>()

  constructor(options: RedisLinkOptions) {
    this.#options = options
  }

  get status(): LinkStatus {
    return this.#status
  }

  get isUp(): boolean {
    return this.#status.state === 'up'
  }

  /** The connection in use; undefined while the link is down. */
  get client(): RedisClient | undefined {
    return this.isUp ? this.#client : undefined
  }

  /** Resolves when the link is up, or after `ms`. */
  whenUp(ms: number): Promise<void> {
    if (this.isUp) return Promise.resolve()
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer)
        this.#waiting.delete(end)
        resolve()
      }
      const timer = setTimeout(end, ms).unref()
      this.#waiting.add(end)
    })
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Gives the present connection up, for a reason that only its user can see. */
  restart(reason: string): void {
    this.#giveUp(new Error(reason))
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#wake?.()
    this.#giveUp(new Error('closed'))
    await this.#running
  }

  async #run(): Promise<void> {
    let failures = 0
    while (!this.#isClosed) {
      const client = this.#options.create()
      this.#client = client
      try {
        await this.#use(client, () => {
          failures = 0
        })
      } catch (error) {
        this.#becomeDown(error as Error)
      }
      client.disconnect()
      if (!this.#isClosed) await this.#sleep(Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** failures++))
    }
  }

  /** Always rejects in the end, with the reason. */
  async #use(client: RedisClient, onUp: () => void): Promise<never> {
    this.#fault = undefined
    void client.lost.then((error) => {
      if (client === this.#client) this.#giveUp(error)
    })
    const ready = (progress: () => void) =>
      this.#unlessGivenUp(client.connect().then(() => this.#options.prepare(client, progress)))
    await withinSteps(CONNECT_TIMEOUT_MS, ready, 'no connection in time')
    this.#becomeUp()
    onUp()
    this.#options.onUp?.()
    for (;;) {
      await this.#unlessGivenUp(this.#sleep(PROBE_INTERVAL_MS))
      await within(PROBE_TIMEOUT_MS, this.#unlessGivenUp(this.#options.probe(client)), 'no answer in time')
    }
  }

  #giveUp(error: Error): void {
    this.#fault ??= error
    this.#onFault?.(this.#fault)
  }

  /** The same promise, but rejected when the connection is given up. Not a race: a promise keeps all who ever raced it. */
  #unlessGivenUp<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#onFault = reject
      if (this.#fault !== undefined) reject(this.#fault)
      promise.then(resolve, reject)
    })
  }

  #becomeUp(): void {
    this.#status = { state: 'up' }
    if (this.#mayLog()) this.#options.log.info(this.#fields({}), 'redis is up')
    for (const end of this.#waiting) end()
  }

  #becomeDown(error: Error): void {
    const reason = describeFault(error)
    const wasUp = this.isUp
    const isNew = wasUp || reason !== this.#status.reason
    this.#status = { state: 'down', reason }
    if (isNew && !this.#isClosed && this.#mayLog())
      this.#options.log.warn(this.#fields({ reason }), 'redis is down')
    if (wasUp) this.#options.onDown()
  }

  #fields(more: object): object {
    return { link: this.#options.name, ...this.#options.fields(), ...more }
  }

  /** A link that flaps must not fill the log. */
  #mayLog(): boolean {
    const now = performance.now()
    if (now - this.#windowAt > LOG_WINDOW_MS) {
      this.#windowAt = now
      this.#lines = 0
    }
    return ++this.#lines <= LOG_LINES_A_WINDOW
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** Rejects with `message` when `promise` has not settled in time; a later rejection of it is no longer anybody's. */
export function within<T>(ms: number, promise: Promise<T>, message: string): Promise<T> {
  return withinSteps(ms, () => promise, message)
}

/** The same, counted from the last call of `progress`, which `begin` is given. */
function withinSteps<T>(
  ms: number,
  begin: (progress: () => void) => Promise<T>,
  message: string,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(message)), ms)
    const end = () => clearTimeout(timer)
    begin(() => void timer.refresh()).then(
      (value) => {
        end()
        resolve(value)
      },
      (error) => {
        end()
        reject(error)
      },
    )
  })
}
