import type { Distribution } from '../distribution.ts'
import type { Position } from '../protocol/envelope.ts'
import type { Publication, Published } from './bridge.ts'
import type { OutgoingMessage } from './redis-payload.ts'

/** A publish of this node that Redis has, or may have, or is to get, but that is not done with. */
export interface Flight extends OutgoingMessage {
  readonly publication: Publication
  /** By the steady clock; undefined while it waits for the turn's end. */
  sentAtMs: number | undefined
  readonly resolve: (published: Published) => void
  /** Whether it is not expected to come back, so that this node's members get it when Redis has answered. */
  isOneWay: boolean
  /** Whether this node knows of an earlier try, which its members have had or will get from Redis. */
  readonly isRepeat: boolean
  /** The joins so far when this node's members got it ahead of its place; undefined while they have not. */
  earlyJoins: number | undefined
  /** Whether it is being read back from the history. */
  isSettling: boolean
  /** Whether Redis has answered, and the place in the room's history that it gave. */
  hasAnswer: boolean
  position: Position | undefined
  /** The ticks since then in which it has not come back. */
  ticksOut: number
  /** Whether this node's members have it. */
  isDelivered: boolean
}

/**
 * This node's publishes on their way through one Redis server. Each is done when Redis has answered and this node's
 * members have it: because it came back, was read from the history, or was delivered to them by this node alone.
 */
export class Flights {
  readonly #flights = new Map<number, Flight>()
  #bytes = 0
  /** How many this node's members have not got. */
  #undelivered = 0
  /** Those of them that are one way, by room, in order. */
  readonly #oneWay = new Map<string | undefined, Set<Flight>>()
  readonly #nextSequence: () => number
  /** Milliseconds until they are back. */
  readonly #times: Distribution
  readonly #onEmpty: () => void

  /** `nextSequence` numbers the node's publishes; `onEmpty` is called whenever the last flight is done with. */
  constructor(nextSequence: () => number, times: Distribution, onEmpty: () => void) {
    this.#nextSequence = nextSequence
    this.#times = times
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
    { mark, isRepeat, isOneWay }: Pick<Flight, 'mark' | 'isRepeat' | 'isOneWay'>,
    resolve: (published: Published) => void,
  ): Flight {
    const sequence = this.#nextSequence()
    const head = Buffer.from(publication.head)
    const flight: Flight = {
      sequence,
      exclude: publication.exclude,
      head,
      publication,
      mark,
      isRepeat,
      isOneWay,
      isSettling: false,
      earlyJoins: undefined,
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
    if (isOneWay) this.#noteOneWay(flight)
    return flight
  }

  /** Redis has answered. */
  answer(flight: Flight, published: Published): void {
    if (flight.hasAnswer) return
    flight.hasAnswer = true
    flight.resolve(published)
    this.#endIfDone(flight)
  }

  /** This node's members have it, or get it with what else comes on its channel; `backAtMs` is when it came back, if it did. */
  delivered({ sequence }: { sequence: number }, backAtMs?: number): void {
    const flight = this.#flights.get(sequence)
    if (flight === undefined || flight.isDelivered) return
    const { sentAtMs } = flight
    if (backAtMs !== undefined && sentAtMs !== undefined) this.#times.add(backAtMs - sentAtMs)
    flight.isDelivered = true
    this.#undelivered--
    const { room } = flight.publication
    const others = this.#oneWay.get(room)
    if (others?.delete(flight) && others.size === 0) this.#oneWay.delete(room)
    this.#endIfDone(flight)
  }

  /** Nothing of what is on its way is expected back any more. */
  expectNoReturn(): void {
    for (const flight of this.undelivered()) {
      if (flight.isOneWay) continue
      flight.isOneWay = true
      this.#noteOneWay(flight)
    }
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

  #noteOneWay(flight: Flight): void {
    const { room } = flight.publication
    const others = this.#oneWay.get(room)
    if (others === undefined) this.#oneWay.set(room, new Set([flight]))
    else others.add(flight)
  }

  #endIfDone(flight: Flight): void {
    if (!flight.hasAnswer || !flight.isDelivered || !this.#flights.delete(flight.sequence)) return
    this.#bytes -= flight.head.length
    if (this.#flights.size === 0) this.#onEmpty()
  }
}
