import { createHash } from 'node:crypto'
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'

/** How long an early delivery is remembered, in case the message comes in its place after all. */
const REMEMBERED_MS = 60_000
/** Different messages at most, at about 200 bytes each; beyond that the oldest are forgotten. */
const MAX_MESSAGES = 50_000
/** Of messages that are the same in all, their time included. */
const MAX_SAME = 16

/** Memberships that have ended while something is remembered, at most; beyond that the oldest are forgotten. */
const MAX_ENDED = 10_000
/** Of one client in one room. */
const MAX_ENDED_SAME = 16

/** A membership that has ended, by its number and that of its end. */
interface Ended {
  readonly from: number
  readonly to: number
}

interface Delivered {
  /** Whoever arrived when there were no more has had it. */
  readonly arrivals: number
  readonly atMs: number
}

/**
 * Who has had what was delivered early: a matter of members, not of the node. Each membership has a number, and an
 * early delivery remembers the newest one. While nothing is remembered, nothing is looked up.
 */
export class EarlyMemory {
  readonly #clock: Clock
  #arrivals = 0
  /** By the digest of the message's head, which names its room. Two messages may be the same. */
  #delivered: BoundedMap<string, Delivered[]> | undefined
  /** By client and room: who was a member then, and left, may be one again. */
  #ended = new BoundedMap<string, Ended[]>(MAX_ENDED)
  #newestAtMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** How many memberships have begun. */
  get arrivals(): number {
    return this.#arrivals
  }

  get isEmpty(): boolean {
    return this.#delivered === undefined
  }

  /** The number of a membership that begins now. */
  arrive(): number {
    return ++this.#arrivals
  }

  /** A membership ends. */
  leave(client: string, room: string, number: number): void {
    if (this.isEmpty) return
    const key = endedKey(client, room)
    const others = this.#ended.get(key) ?? []
    this.#ended.set(key, [...others.slice(1 - MAX_ENDED_SAME), { from: number, to: this.arrive() }])
  }

  /** Whether a client was in the room, in a membership of before, when there were so many. */
  wasThere(client: string, room: string, arrivals: number): boolean {
    const ended = this.#ended.get(endedKey(client, room))
    return ended?.some(({ from, to }) => from <= arrivals && arrivals < to) ?? false
  }

  /** A message was delivered early, to those who had arrived by then. */
  add(head: string | Buffer, arrivals: number = this.#arrivals): void {
    this.#newestAtMs = this.#clock.steadyMs()
    this.#delivered ??= new BoundedMap(MAX_MESSAGES)
    const key = digestOf(head)
    const others = this.#delivered.get(key) ?? []
    this.#delivered.set(key, [...others.slice(1 - MAX_SAME), { arrivals, atMs: this.#newestAtMs }])
  }

  /** The message comes in its place: the newest number that has had it, or -1. It is forgotten with that. */
  take(head: string | Buffer): number {
    if (this.#delivered === undefined) return -1
    const oldestMs = this.#clock.steadyMs() - REMEMBERED_MS
    if (this.#newestAtMs < oldestMs) {
      this.#delivered = undefined
      this.#ended = new BoundedMap(MAX_ENDED)
      return -1
    }
    const key = digestOf(head)
    const [first, ...others] = this.#delivered.get(key)?.filter(({ atMs }) => atMs >= oldestMs) ?? []
    if (first === undefined) return -1
    if (others.length === 0) this.#delivered.delete(key)
    else this.#delivered.set(key, others)
    return first.arrivals
  }
}

function endedKey(client: string, room: string): string {
  return `${client} ${room}`
}

/** What stands for a message, whatever its offset. */
export function digestOf(head: string | Buffer): string {
  return createHash('sha1').update(head).digest('base64')
}
