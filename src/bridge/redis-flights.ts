import type { Position } from '../protocol/envelope.ts'
import type { Publication, Published } from './bridge.ts'
import type { OutgoingMessage } from './redis-payload.ts'

/** A publish of this node that Redis has, or may have, or is to get, but that is not done with. */
export interface Flight extends OutgoingMessage {
  readonly publication: Publication
  /** The mark of an idempotent publish. */
  readonly mark: string | undefined
  /** By the steady clock; undefined while it waits for the turn's end. */
  sentAtMs: number | undefined
  readonly resolve: (published: Published) => void
  /** Whether it is not expected to come back, so that this node's members get it when Redis has answered. */
  readonly isOneWay: boolean
  /** Whether Redis has answered, and the place in the room's history that it gave. */
  hasAnswer: boolean
  position: Position | undefined
  /** The ticks since then in which it has not come back. */
  ticksOut: number
  /** Whether this node's members have it: it came back, was delivered locally, or nobody here waits for it. */
  isDelivered: boolean
}

/** How long a publish that was delivered locally is remembered, in case it comes back after all. */
const REMEMBERED_MS = 60_000

/**
 * This node's publishes on their way through Redis. Each is done when Redis has answered and it has come back; if
 * Redis fails in between it is delivered locally, once.
 */
export class Flights {
  readonly #flights = new Map<number, Flight>()
  /** Publishes that were delivered locally and must not be again, by sequence; oldest first. */
  readonly #local = new Map<number, number>()
  #sequence = 0
  #bytes = 0
  /** How many this node's members have not got. */
  #undelivered = 0
  /** Those of them that are one way, by room, in order. */
  readonly #oneWay = new Map<string | undefined, Set<Flight>>()
  readonly #onEmpty: () => void

  /** `onEmpty` is called whenever the last flight is done with. */
  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty
  }

  /** Bytes on their way. */
  get bytes(): number {
    return this.#bytes
  }

  /** When the first that waits for an answer was sent. */
  get waitingSinceMs(): number | undefined {
    for (const { hasAnswer, sentAtMs } of this.#flights.values()) if (!hasAnswer) return sentAtMs
    return undefined
  }

  begin(
    publication: Publication,
    mark: string | undefined,
    isOneWay: boolean,
    resolve: (published: Published) => void,
  ): Flight {
    const sequence = ++this.#sequence
    const head = Buffer.from(publication.head)
    const flight: Flight = {
      sequence,
      exclude: publication.exclude,
      head,
      publication,
      mark,
      isOneWay,
      sentAtMs: undefined,
      resolve,
      hasAnswer: false,
      position: undefined,
      ticksOut: 0,
      isDelivered: false,
    }
    this.#flights.set(sequence, flight)
    this.#bytes += head.length
    this.#undelivered++
    if (isOneWay) {
      const others = this.#oneWay.get(publication.room)
      if (others === undefined) this.#oneWay.set(publication.room, new Set([flight]))
      else others.add(flight)
    }
    return flight
  }

  /** Redis has answered. */
  answer(flight: Flight, published: Published): void {
    if (flight.hasAnswer) return
    flight.hasAnswer = true
    flight.resolve(published)
    this.#endIfDone(flight)
  }

  /** A publish of this node has come back; returns whether the members should get it. */
  comeBack(sequence: number): boolean {
    if (this.#local.has(sequence)) return false
    const flight = this.#flights.get(sequence)
    // What is not known here was published by somebody who took our id, or long ago: like any other node's.
    if (flight === undefined) return true
    if (flight.isDelivered) return false
    this.#deliver(flight)
    return true
  }

  /** Marks a publish as delivered locally; should it come back, it is passed over. */
  markLocal(sequence: number, nowMs: number): void {
    this.#local.set(sequence, nowMs)
    const flight = this.#flights.get(sequence)
    if (flight !== undefined && !flight.isDelivered) this.#deliver(flight)
  }

  /** Those that this node's members have not got, in the order of their publishing. */
  undelivered(): Flight[] {
    if (this.#undelivered === 0) return []
    return [...this.#flights.values()].filter(({ isDelivered }) => !isDelivered)
  }

  /** Those of its room that were begun before this one, are not expected back, and are not delivered. */
  oneWayBefore(sequence: number): Flight[] {
    const flight = this.#flights.get(sequence)
    const others = flight && this.#oneWay.get(flight.publication.room)
    return others === undefined ? [] : [...others].filter((other) => other.sequence < sequence)
  }

  /** Counts a tick, and returns those that Redis has answered and not brought back for more than `ticks`. */
  overdue(ticks: number): Flight[] {
    return this.undelivered()
      .filter(({ hasAnswer }) => hasAnswer)
      .filter((flight) => ++flight.ticksOut > ticks)
  }

  unanswered(): Flight[] {
    return [...this.#flights.values()].filter(({ hasAnswer }) => !hasAnswer)
  }

  sweep(nowMs: number): void {
    for (const [sequence, atMs] of this.#local) {
      if (nowMs - atMs < REMEMBERED_MS) break
      this.#local.delete(sequence)
    }
  }

  #deliver(flight: Flight): void {
    flight.isDelivered = true
    this.#undelivered--
    const { room } = flight.publication
    const others = this.#oneWay.get(room)
    if (others?.delete(flight) && others.size === 0) this.#oneWay.delete(room)
    this.#endIfDone(flight)
  }

  #endIfDone(flight: Flight): void {
    if (!flight.hasAnswer || !flight.isDelivered || !this.#flights.delete(flight.sequence)) return
    this.#bytes -= flight.head.length
    if (this.#flights.size === 0) this.#onEmpty()
  }
}
