import type { Ack as WireAck } from '../../src/protocol/wire.ts'
import { RoomcastError } from './errors.ts'
import type { Link } from './link.ts'
import type { Ack } from './types.ts'

/** A publish that has no answer yet. */
export interface Waiting {
  readonly room: string
  readonly text: string
  readonly keep: boolean
  readonly key: string
  readonly bytes: number
  readonly sinceMs: number
  readonly resolve: (ack: Ack) => void
  readonly reject: (error: Error) => void
  /** The link that it is on its way on. */
  on?: Link | undefined
  /** When it was sent first, if it was. */
  triedMs?: number
}

/** What waits at most. */
export interface QueueBounds {
  messages: number
  bytes: number
  ageMs: number
}

/** Unanswered at one time: a burst then waits here, where it costs nobody's rate. */
const WINDOW = 64
/** A server knows a key for five minutes: later the same would be delivered once more. */
const KEY_MS = 240_000

/** Publishes in their order, until the server has them or they are given up. Each promise settles. */
export class Outgoing {
  readonly #bounds: QueueBounds
  readonly #waiting = new Set<Waiting>()
  #bytes = 0

  constructor(bounds: QueueBounds) {
    this.#bounds = bounds
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0
  }

  /** Rejects with `queue_full` what there is no room for. */
  add(room: string, text: string, keep: boolean, nowMs: number): Promise<Ack> {
    return new Promise((resolve, reject) => {
      const bytes = text.length
      const { messages, bytes: most } = this.#bounds
      if (this.#waiting.size >= messages || this.#bytes + bytes > most)
        return reject(new RoomcastError('queue_full'))
      this.#bytes += bytes
      const key = randomKey()
      this.#waiting.add({ room, text, keep, key, bytes, sinceMs: nowMs, resolve, reject })
    })
  }

  /** Those that may be sent now on this link: of rooms that are ready, in order, and none past one on another link. */
  *sendable(link: Link, isReady: (room: string) => boolean): Generator<Waiting> {
    let underway = 0
    const held = new Set<string>()
    for (const one of this.#waiting) {
      if (one.on === link) underway++
      else if (one.on !== undefined || held.has(one.room) || !isReady(one.room)) held.add(one.room)
      else {
        if (++underway > WINDOW) return
        yield one
      }
    }
  }

  done(one: Waiting, { type: _, id: __, room: ___, ...ack }: WireAck): void {
    if (this.#take(one)) one.resolve(ack)
  }

  fail(one: Waiting, code: RoomcastError['code'], message?: string, retryAfterMs?: number): void {
    if (!this.#take(one)) return
    const isInDoubt = one.triedMs !== undefined && inDoubt.test(code)
    one.reject(new RoomcastError(code, message, isInDoubt, retryAfterMs))
  }

  /** The link is gone. What a repeat cannot be told by is given up; the rest is sent again. */
  lost(link: Link, isNameless: boolean): void {
    for (const one of [...this.#waiting]) {
      if (one.on !== link && (one.on !== undefined || one.keep)) continue
      one.on = undefined
      if (!one.keep || isNameless) this.fail(one, 'lost')
    }
  }

  /** Gives up what is too old. */
  expire(nowMs: number): void {
    for (const one of [...this.#waiting])
      if (nowMs - one.sinceMs >= this.#bounds.ageMs || nowMs - (one.triedMs ?? nowMs) >= KEY_MS)
        this.fail(one, 'timeout')
  }

  /** Gives up all, or all of a room. */
  clear(code: RoomcastError['code'], message: string, room?: string): void {
    for (const one of [...this.#waiting])
      if (room === undefined || one.room === room) this.fail(one, code, message)
  }

  #take(one: Waiting): boolean {
    if (!this.#waiting.delete(one)) return false
    this.#bytes -= one.bytes
    return true
  }
}

/** Codes of the client's own: whether the server has what was sent is not known. */
const inDoubt = /^(lost|timeout|closed)$/

/** 128 random bits, as a repeat is told by it. Pages over plain HTTP have no `crypto.randomUUID`. */
export function randomKey(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join('-')
}
