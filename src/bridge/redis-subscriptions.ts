import type { RedisClient } from './redis-client.ts'

/** A room without members keeps its subscription for this long: people reload pages. */
const LINGER_MS = 2000
/** Channels in one SUBSCRIBE, so that no single reply holds Redis or us up. */
const CHANNELS_A_CALL = 500

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

  /** Gives back what has been released for long enough. */
  sweep(nowMs: number): void {
    const channels = [...this.#wanted]
      .filter(([, { leftAtMs }]) => leftAtMs !== undefined && nowMs - leftAtMs >= LINGER_MS)
      .map(([channel]) => channel)
    if (channels.length === 0) return
    for (const channel of channels) this.#wanted.delete(channel)
    // Sent on one connection in order, so a later SUBSCRIBE of the same channel wins.
    this.#client?.unsubscribe(channels).catch((error) => this.#onFailure(error))
  }

  /** Subscribes everything on a new connection. `onFailure` hears of channels that Redis refuses later. */
  async resume(client: RedisClient, onFailure: (error: Error) => void): Promise<void> {
    this.#client = client
    this.#onFailure = onFailure
    const channels = [...this.#wanted.keys()]
    for (let at = 0; at < channels.length; at += CHANNELS_A_CALL) {
      const part = channels.slice(at, at + CHANNELS_A_CALL)
      await client.subscribe(part)
      this.#confirm(client, part)
    }
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
