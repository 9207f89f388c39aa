import { BoundedMap, textEntryBytes } from '../bounded-map.ts'
import type { RoomRule } from '../rules/room-rules.ts'

/** Rooms that are remembered of one client, and what that takes of memory; beyond it the oldest are forgotten. */
const ROOMS = 1000
const BYTES = 128 * 1024

/** How much one client has published into rooms whose rule has a rate. It outlives the membership. */
export class RoomRates {
  /** By room, when its bucket is full if nothing more is sent: that says what is in it, and since when. */
  readonly #fullAtMs = new BoundedMap<string, number>({
    entries: ROOMS,
    bytes: BYTES,
    bytesOf: textEntryBytes,
  })

  /** Takes a message's token; returns 0, or for how many milliseconds there is none. */
  take(room: string, { perSecond, burst }: NonNullable<RoomRule['rate']>, nowMs: number): number {
    const msAMessage = 1000 / perSecond
    const fullAtMs = Math.max(this.#fullAtMs.get(room) ?? 0, nowMs) + msAMessage
    const waitMs = fullAtMs - nowMs - burst * msAMessage
    // Fractions add up: a thousandth of a millisecond is no reason to refuse.
    if (waitMs > 0.001) return Math.max(1, Math.ceil(waitMs))
    this.#fullAtMs.set(room, fullAtMs)
    return 0
  }
}
