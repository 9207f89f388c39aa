import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RedisClient } from './redis-client.ts'
import { isElsewhere } from './redis-fault.ts'

/** A room without members keeps its subscription for this long: people reload pages. */
const LINGER_MS = 2000
/** Channels that one turn of the event loop subscribes, so that nothing holds Redis or us up. */
const SUBSCRIBES_A_TURN = 500
/** The same for giving back. */
const UNSUBSCRIBES_A_TURN = 100

interface Wanted {
  state: 'idle' | 'asked' | 'active'
  /** Calls for everybody who waits for Redis to confirm it. */
  waiting: Set<() => void>
  /** Whether messages may have passed it by since it was first wanted, or somebody came in without it. */
  hasGap: boolean
}

export interface SubscriptionsHost {
  /** The channel is confirmed, and messages may have passed it by before. */
  onGapEnd(channel: string): void
  /** The channel is no longer wanted. */
  onGone(channel: string): void
  /** The server says that the channel belongs elsewhere. */
  onElsewhere(): void
  /** Redis refuses a channel, or an unsubscribe. */
  onFailure(error: Error): void
}

/** The channels that this node wants of one server, and those that it has confirmed. One connection at a time serves them. */
export class RedisSubscriptions {
  readonly #wanted = new Map<string, Wanted>()
  /** Those of them that are neither confirmed nor asked for. */
  readonly #idle = new Set<string>()
  /** Channels whose last member has left, with the time; the first to leave first. */
  readonly #released = new Map<string, number>()
  readonly #host: SubscriptionsHost
  #client: RedisClient | undefined
  /** Counts what the server has given up by itself; of a slot that moves, each channel. */
  #givenUp = 0
  #isLooking = false

  constructor(host: SubscriptionsHost) {
    this.#host = host
  }

  isActive(channel: string): boolean {
    return this.#wanted.get(channel)?.state === 'active'
  }

  channels(): IterableIterator<string> {
    return this.#wanted.keys()
  }

  want(channel: string): void {
    this.#released.delete(channel)
    if (this.#wanted.has(channel)) return
    this.#wanted.set(channel, { state: 'idle', waiting: new Set(), hasGap: false })
    this.#idle.add(channel)
    if (this.#client !== undefined) void this.#subscribe(this.#client, [channel])
  }

  /** Resolves with whether Redis confirms the channel, which must be wanted, within this time. */
  whenActive(channel: string, withinMs: number): Promise<boolean> {
    const wanted = this.#wanted.get(channel)
    if (wanted === undefined || wanted.state === 'active') return Promise.resolve(true)
    return new Promise((resolve) => {
      const end = (isActive: boolean) => {
        clearTimeout(timer)
        wanted.waiting.delete(onActive)
        resolve(isActive)
      }
      const onActive = () => end(true)
      // Else who tries again and again would be kept in mind each time.
      const timer = setTimeout(() => end(false), withinMs)
      wanted.waiting.add(onActive)
    })
  }

  /** Somebody has come in without the channel's being confirmed. */
  missed(channel: string): void {
    const wanted = this.#wanted.get(channel)
    if (wanted !== undefined && wanted.state !== 'active') wanted.hasGap = true
  }

  /** The last member has left; the channel is given back after a while unless somebody wants it again. */
  release(channel: string, nowMs: number): void {
    if (this.#wanted.has(channel) && !this.#released.has(channel)) this.#released.set(channel, nowMs)
  }

  /** Gives back what has been released for long enough, a part each turn. Resolves when all are on their way. */
  async sweep(nowMs: number): Promise<void> {
    // One iterator for all parts: each new one would pass over all that was deleted.
    let part: string[] = []
    for (const [channel, leftAtMs] of this.#released) {
      if (nowMs - leftAtMs < LINGER_MS) break
      this.#released.delete(channel)
      this.#wanted.delete(channel)
      this.#host.onGone(channel)
      part.push(channel)
      if (part.length < UNSUBSCRIBES_A_TURN) continue
      this.#giveBack(part)
      part = []
      await nextTurn()
    }
    this.#giveBack(part)
  }

  /** Sent on one connection in order, so a later SUBSCRIBE of the same channel wins. */
  #giveBack(channels: readonly string[]): void {
    if (channels.length === 0) return
    this.#client?.unsubscribe(channels).catch((error) => {
      // Who no longer has a channel has given it up.
      if (isElsewhere(error)) this.#host.onElsewhere()
      else this.#host.onFailure(error)
    })
  }

  /** Subscribes everything on a new connection; `progress` is called as it goes on. Rejects when Redis refuses one. */
  async resume(client: RedisClient, progress: () => void): Promise<void> {
    // The one before may have been lost before it was ready.
    this.suspend()
    this.#client = client
    client.onGivenUp(() => this.#noteGivenUp(client))
    const asked: Promise<Error | undefined>[] = []
    const channels = [...this.#wanted.keys()]
    for (let at = 0; at < channels.length && this.#client === client; at += SUBSCRIBES_A_TURN) {
      if (at > 0) await nextTurn()
      // Some may have been given back, or confirmed, since.
      const part = channels
        .slice(at, at + SUBSCRIBES_A_TURN)
        .filter((channel) => this.#wanted.get(channel)?.state === 'idle')
      // Nothing is waited for on the way: with a distant Redis the round trips would add up.
      asked.push(
        this.#ask(client, part).then((fault) => {
          progress()
          return fault
        }),
      )
    }
    const fault = (await Promise.all(asked)).find((one) => one !== undefined)
    if (fault !== undefined) throw fault
  }

  /** The connection is gone, and every confirmation with it. */
  suspend(): void {
    this.#client = undefined
    for (const [channel, wanted] of this.#wanted) if (wanted.state !== 'idle') this.#lapse(channel, wanted)
  }

  /** Subscribes what is wanted and was refused or given up. */
  retry(): void {
    const client = this.#client
    if (client === undefined) return
    const idle = [...this.#idle]
    for (let at = 0; at < idle.length; at += SUBSCRIBES_A_TURN)
      void this.#subscribe(client, idle.slice(at, at + SUBSCRIBES_A_TURN))
  }

  /** Moves a channel to the server that has it now, with all who wait for it. The former one gives it up by itself. */
  move(channel: string, to: RedisSubscriptions): void {
    const wanted = this.#wanted.get(channel)
    if (wanted === undefined) return
    const leftAtMs = this.#released.get(channel)
    this.#wanted.delete(channel)
    this.#released.delete(channel)
    this.#lapse(channel, wanted)
    this.#idle.delete(channel)
    const there = to.#wanted.get(channel)
    if (there === undefined) {
      to.#wanted.set(channel, wanted)
      to.#idle.add(channel)
      if (leftAtMs !== undefined) to.#released.set(channel, leftAtMs)
    } else if (there.state === 'active') {
      for (const onActive of wanted.waiting) onActive()
    } else {
      for (const onActive of wanted.waiting) there.waiting.add(onActive)
      there.hasGap = true
    }
  }

  async #subscribe(client: RedisClient, channels: string[]): Promise<void> {
    const fault = await this.#ask(client, channels)
    if (fault !== undefined && this.#client === client) this.#host.onFailure(fault)
  }

  /** Resolves with a refusal that is not for the channel's being elsewhere. Never rejects. */
  async #ask(client: RedisClient, channels: string[]): Promise<Error | undefined> {
    for (const channel of channels) {
      const wanted = this.#wanted.get(channel)
      if (wanted === undefined) continue
      wanted.state = 'asked'
      this.#idle.delete(channel)
    }
    const givenUp = this.#givenUp
    const faults = await client.subscribe(channels)
    if (this.#client !== client) return undefined
    let refusal: Error | undefined
    let isElsewhereNow = false
    for (const [index, channel] of channels.entries()) {
      const fault = faults[index]
      const wanted = this.#wanted.get(channel)
      if (fault !== undefined) {
        if (wanted?.state === 'asked') this.#lapse(channel, wanted)
        if (isElsewhere(fault)) isElsewhereNow = true
        else refusal ??= fault
      } else if (wanted?.state === 'asked') this.#confirm(channel, wanted)
    }
    // A slot may move while others of the call are still being confirmed.
    if (givenUp !== this.#givenUp) this.#lookForLost(client)
    if (isElsewhereNow) this.#host.onElsewhere()
    return refusal
  }

  #confirm(channel: string, wanted: Wanted): void {
    wanted.state = 'active'
    const { waiting, hasGap } = wanted
    wanted.waiting = new Set()
    wanted.hasGap = false
    for (const onActive of waiting) onActive()
    if (hasGap) this.#host.onGapEnd(channel)
  }

  /** It comes once for each of a slot's channels, so the look at all of them waits for the turn's end. */
  #noteGivenUp(client: RedisClient): void {
    this.#givenUp++
    if (this.#isLooking) return
    this.#isLooking = true
    setImmediate(() => {
      this.#isLooking = false
      this.#lookForLost(client)
    })
  }

  /** The driver keeps count of what the server has confirmed and not given up. */
  #lookForLost(client: RedisClient): void {
    if (this.#client !== client) return
    const subscribed = client.subscribed()
    let hasLost = false
    for (const [channel, wanted] of this.#wanted) {
      if (wanted.state !== 'active' || subscribed.has(channel)) continue
      this.#lapse(channel, wanted)
      hasLost = true
    }
    if (hasLost) this.#host.onElsewhere()
  }

  /** A channel that was confirmed, or asked for, no longer is: messages may pass it by. */
  #lapse(channel: string, wanted: Wanted): void {
    wanted.state = 'idle'
    wanted.hasGap = true
    this.#idle.add(channel)
  }
}
