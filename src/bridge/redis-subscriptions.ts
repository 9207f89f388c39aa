import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RedisClient } from './redis-client.ts'

/** A room without members keeps its subscription for this long: people reload pages. */
const LINGER_MS = 2000
/** Channels that one turn of the event loop subscribes, in one call, so that nothing holds Redis or us up. */
const SUBSCRIBES_A_TURN = 500
/** The same for giving back. On a Cluster the driver takes 0.1 ms for each. */
const UNSUBSCRIBES_A_TURN = 100

interface Wanted {
  /** Whether Redis has confirmed it on the present connection. */
  isActive: boolean
  /** Calls for everybody who waits for that. */
  waiting: (() => void)[]
  /** When the last member left, by the clock of the caller; undefined while there are members. */
  leftAtMs: number | undefined
}

/** The channels that this node wants, and those that Redis has confirmed. One connection at a time serves them. */
export class RedisSubscriptions {
  readonly #wanted = new Map<string, Wanted>()
  #client: RedisClient | undefined
  #onFailure: (error: Error) => void = () => {}

  isActive(channel: string): boolean {
    return this.#wanted.get(channel)?.isActive ?? false
  }

  has(channel: string): boolean {
    return this.#wanted.has(channel)
  }

  want(channel: string): void {
    const known = this.#wanted.get(channel)
    if (known !== undefined) {
      known.leftAtMs = undefined
      return
    }
    this.#wanted.set(channel, { isActive: false, waiting: [], leftAtMs: undefined })
    if (this.#client !== undefined) void this.#subscribe(this.#client, [channel])
  }

  /** Resolves when Redis has confirmed the channel, which must be wanted. */
  whenActive(channel: string): Promise<void> {
    const wanted = this.#wanted.get(channel)
    if (wanted === undefined || wanted.isActive) return Promise.resolve()
    return new Promise((resolve) => wanted.waiting.push(resolve))
  }

  /** The last member has left; the channel is given back after a while unless somebody wants it again. */
  release(channel: string, nowMs: number): void {
    const known = this.#wanted.get(channel)
    if (known !== undefined) known.leftAtMs = nowMs
  }

  /** Gives back what has been released for long enough, a part each turn. Resolves when all are on their way. */
  async sweep(nowMs: number): Promise<void> {
    const isDue = (channel: string) => {
      const leftAtMs = this.#wanted.get(channel)?.leftAtMs
      return leftAtMs !== undefined && nowMs - leftAtMs >= LINGER_MS
    }
    const channels = [...this.#wanted.keys()].filter(isDue)
    for (let at = 0; at < channels.length; at += UNSUBSCRIBES_A_TURN) {
      if (at > 0) await nextTurn()
      // Somebody may have come since.
      const part = channels.slice(at, at + UNSUBSCRIBES_A_TURN).filter(isDue)
      for (const channel of part) this.#wanted.delete(channel)
      // Sent on one connection in order, so a later SUBSCRIBE of the same channel wins.
      if (part.length > 0) this.#client?.unsubscribe(part).catch((error) => this.#onFailure(error))
    }
  }

  /** Subscribes everything on a new connection. `onFailure` hears of channels that Redis refuses later. */
  async resume(client: RedisClient, onFailure: (error: Error) => void): Promise<void> {
    this.#client = client
    this.#onFailure = onFailure
    const channels = [...this.#wanted.keys()]
    const confirmed: Promise<void>[] = []
    for (let at = 0; at < channels.length && this.#client === client; at += SUBSCRIBES_A_TURN) {
      if (at > 0) await nextTurn()
      // Some may have been given back since.
      const part = channels.slice(at, at + SUBSCRIBES_A_TURN).filter((channel) => this.#wanted.has(channel))
      if (part.length === 0) continue
      const done = client.subscribe(part).then(() => this.#confirm(client, part))
      // It is looked at below; until then it is not unhandled.
      done.catch(() => {})
      // Nothing is waited for on the way: with a distant Redis the round trips would add up.
      confirmed.push(done)
    }
    await Promise.all(confirmed)
  }

  /** The connection is gone, and every confirmation with it. */
  suspend(): void {
    this.#client = undefined
    for (const wanted of this.#wanted.values()) wanted.isActive = false
  }

  async #subscribe(client: RedisClient, channels: string[]): Promise<void> {
    try {
      await client.subscribe(channels)
      this.#confirm(client, channels)
    } catch (error) {
      if (this.#client === client) this.#onFailure(error as Error)
    }
  }

  #confirm(client: RedisClient, channels: string[]): void {
    if (this.#client !== client) return
    for (const channel of channels) {
      const wanted = this.#wanted.get(channel)
      if (wanted === undefined) continue
      wanted.isActive = true
      const { waiting } = wanted
      wanted.waiting = []
      for (const onActive of waiting) onActive()
    }
  }
}
