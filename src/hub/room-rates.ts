import { BoundedMap, textEntryBytes } from '../bounded-map.ts'
import type { RoomRule } from '../rules/room-rules.ts'

/** Rooms that are remembered of one client, and what that takes of memory; beyond it the oldest are forgotten. */
const ROOMS = 1000
const BYTES = 128 * 1024
/** The same for what clients have left behind, of all users together. */
const LEFT = 100_000
const LEFT_BYTES = 32 * 1024 * 1024

type Rate = NonNullable<RoomRule['rate']>

/**
 * Buckets that clients have left behind before they were full, by room and user: a client that comes goes on with them,
 * so that coming back brings nothing.
 */
export class LeftRates {
  readonly #fullAtMs = new BoundedMap<string, number>({
    ...{ entries: LEFT, bytes: LEFT_BYTES },
    bytesOf: textEntryBytes,
  })

  /** When it is full, in steady ms; 0 where nothing was left. */
  fullAtMs(user: string, room: string): number {
    return this.#fullAtMs.get(keyOf(user, room)) ?? 0
  }

  leave(user: string, room: string, fullAtMs: number): void {
    this.#fullAtMs.set(keyOf(user, room), Math.max(fullAtMs, this.fullAtMs(user, room)))
  }
}

/** No room's name has a control character. */
const keyOf = (user: string, room: string) => `${room}\n${user}`

/** How much one client has published into rooms whose rule has a rate. It outlives the membership. */
export class RoomRates {
  /** By room, when its bucket is full if nothing more is sent: that says what is in it, and since when. */
  readonly #fullAtMs = new BoundedMap<string, number>({
    ...{ entries: ROOMS, bytes: BYTES },
    bytesOf: textEntryBytes,
  })
  readonly #before: { user: string; left: LeftRates } | undefined

  /** `before` is what the user's clients have left behind; undefined where the user is nobody that comes back. */
  constructor(before?: { user: string; left: LeftRates }) {
    this.#before = before
  }

  /** Takes a message's token; returns 0, or for how many milliseconds there is none. */
  take(room: string, rate: Rate, nowMs: number): number {
    const waitMs = this.waitMs(room, rate, nowMs)
    if (waitMs === 0) this.#fullAtMs.set(room, this.#fullBehind(room, rate, nowMs))
    return waitMs
  }

  /** For how many milliseconds there is no token for a message. */
  waitMs(room: string, rate: Rate, nowMs: number): number {
    const waitMs = this.#fullBehind(room, rate, nowMs) - nowMs - (rate.burst * 1000) / rate.perSecond
    // Fractions add up: a thousandth of a millisecond is no reason to refuse.
    return waitMs > 0.001 ? Math.max(1, Math.ceil(waitMs)) : 0
  }

  /** The client ends. */
  end(nowMs: number): void {
    if (this.#before === undefined) return
    const { user, left } = this.#before
    for (const [room, fullAtMs] of this.#fullAtMs) if (fullAtMs > nowMs) left.leave(user, room, fullAtMs)
  }

  /** When the bucket is full again behind one more message. */
  #fullBehind(room: string, { perSecond }: Rate, nowMs: number): number {
    return Math.max(this.#fullAtMs.get(room) ?? this.#leftFullAtMs(room), nowMs) + 1000 / perSecond
  }

  #leftFullAtMs(room: string): number {
    return this.#before?.left.fullAtMs(this.#before.user, room) ?? 0
  }
}
