import { BoundedMap, textEntryBytes } from '../bounded-map.ts'
import type { RoomRule } from '../rules/room-rules.ts'

/** Rooms that are remembered of one client, and what that takes of memory; beyond it the oldest are forgotten. */
const ROOMS = 1000
const BYTES = 128 * 1024

type Rate = NonNullable<RoomRule['rate']>

/** How much one client has published into rooms whose rule has a rate. It outlives the membership. */
export class RoomRates {
  /** By room, when its bucket is full if nothing more is sent: that says what is in it, and since when. */
  readonly #fullAtMs = new BoundedMap<string, number>({
    entries: ROOMS,
    bytes: BYTES,
    bytesOf: textEntryBytes,
  })

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

  /** When the bucket is full again behind one more message. */
  #fullBehind(room: string, { perSecond }: Rate, nowMs: number): number {
    return Math.max(this.#fullAtMs.get(room) ?? 0, nowMs) + 1000 / perSecond
  }
}
