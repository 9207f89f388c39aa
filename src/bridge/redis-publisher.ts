import { randomBytes } from 'node:crypto'
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Position } from '../protocol/envelope.ts'
import {
  type HistoryLimits,
  KEY_TTL_MS,
  LOCAL_KEYS,
  POSITION_EXTRA_TTL_MS,
  type Publication,
  type Published,
} from './bridge.ts'
import type { RedisClient } from './redis-client.ts'
import { type Flight, Flights } from './redis-flights.ts'
import type { RedisKeys } from './redis-keys.ts'
import { Outgoing, type PublishBatch } from './redis-outgoing.ts'
import { payloadHeader } from './redis-payload.ts'
import { LATE, publishScript } from './redis-scripts.ts'

/** How often publishes on their way are looked at. */
const TICK_MS = 100
/** With publishes on their way and no answer of any kind for this long, Redis counts as down: members must not wait. */
const STALL_MS = 500
/**
 * What Redis has taken comes back within milliseconds. After so many ticks it is not waited for, and nothing else is
 * until something comes back again: the subscriber is deaf, and its link takes seconds to find out. Counted in ticks,
 * because a loop that was held up has not looked yet.
 */
const OVERDUE_TICKS = 2
/** Redis takes a publish only so long after it was sent: a thawed server must not bring old messages. */
const DEADLINE_MS = 1000
/** More than this on its way to Redis is delivered locally only: nothing is queued without bound. */
const FLIGHT_MAX_BYTES = 64 * 1024 * 1024

export interface RedisPublisherOptions extends HistoryLimits {
  keys: RedisKeys
  clock: Clock
  log: Log
  /** The connection, while both links are up. */
  client(): RedisClient | undefined
  /** Whether what is published to the room comes back to this node. */
  comesBack(room: string | undefined): boolean
  /** Calls `send` when more may have come together to be sent. */
  onceRested(send: () => void): void
  /** Delivers to this node's members only; with its position, if Redis has given it one. */
  deliverLocally(publication: Publication, position?: Position): void
  /** Redis answers but does not take publishes. */
  onRefused(reason: string): void
}

/** The publishing half of the Redis bridge: every message reaches this node's members once, whatever Redis does. */
export class RedisPublisher {
  readonly #options: RedisPublisherOptions
  readonly #flights = new Flights(() => this.#stopTicking())
  readonly #outgoing = new Outgoing()
  /** Idempotent publishes that reached this node's members only, by their mark, with the time; oldest first. */
  readonly #localMarks = new BoundedMap<string, number>(LOCAL_KEYS)
  #node = ''
  /** Redis's clock minus ours, in milliseconds. */
  #clockOffsetMs = 0
  #answeredAtMs = 0
  #isStalled = false
  /** Whether something has not come back in time, and nothing has since. */
  #isDeaf = false
  #isSending = false
  /** Runs while there are flights: an idle node is not woken for nothing. */
  #ticker: NodeJS.Timeout | undefined

  constructor(options: RedisPublisherOptions) {
    this.#options = options
  }

  get isStalled(): boolean {
    return this.#isStalled
  }

  start(node: string): void {
    this.#node = node
  }

  publish(publication: Publication): Promise<Published> {
    const { room, once } = publication
    const mark = once && this.#options.keys.once(room, once.user, once.key)
    const wasLocal = mark !== undefined && this.#localMarks.has(mark)
    const client = this.#isStalled ? undefined : this.#options.client()
    if (client === undefined || this.#flights.bytes > FLIGHT_MAX_BYTES) {
      return Promise.resolve(this.#publishLocally(publication, mark, wasLocal))
    }
    return new Promise((resolve) => {
      const isOneWay = this.#isDeaf || !this.#options.comesBack(room)
      const flight = this.#flights.begin(publication, mark, isOneWay, resolve)
      // Members who have it from a first try that went no further than this node do not get it again.
      if (wasLocal) this.#flights.markLocal(flight.sequence, this.#now)
      this.#outgoing.add(flight)
      this.#ticker ??= setInterval(() => this.#tick(), TICK_MS).unref()
      if (this.#isSending) return
      this.#isSending = true
      this.#options.onceRested(this.#sendAll)
    })
  }

  /** A publish of this node has come back; returns whether the members should get it. */
  comeBack(sequence: number): boolean {
    this.#isDeaf = false
    for (const flight of this.#flights.oneWayBefore(sequence)) this.#deliverFlight(flight)
    return this.#flights.comeBack(sequence)
  }

  /** Nothing comes back any more: this node's members get what is on its way now, in order. */
  deliverFlights(): void {
    this.#isDeaf = false
    this.#deliverThrough(Infinity)
  }

  /** Nothing is answered any more either. */
  giveUpFlights(): void {
    this.deliverFlights()
    for (const flight of this.#flights.unanswered()) this.#giveUp(flight)
  }

  /** Redis has answered something; `clockOffsetMs` is its clock minus ours, when the answer told. */
  answered(clockOffsetMs = this.#clockOffsetMs): void {
    this.#clockOffsetMs = clockOffsetMs
    this.#answeredAtMs = this.#now
    if (!this.#isStalled) return
    this.#isStalled = false
    this.#options.log.info({}, 'redis answers again')
  }

  sweep(): void {
    this.#flights.sweep(this.#now)
    for (const [mark, at] of this.#localMarks) {
      if (this.#now - at < KEY_TTL_MS) break
      this.#localMarks.delete(mark)
    }
  }

  get #now(): number {
    return this.#options.clock.steadyMs()
  }

  #tick(): void {
    const overdue = this.#flights.overdue(OVERDUE_TICKS)
    if (overdue.length > 0) {
      this.#deliverThrough(Infinity)
      this.#isDeaf = true
    }
    const sinceMs = this.#flights.waitingSinceMs
    if (sinceMs === undefined || this.#isStalled) return
    if (this.#now - Math.max(sinceMs, this.#answeredAtMs) < STALL_MS) return
    this.#isStalled = true
    this.#options.log.warn({}, 'redis does not answer')
    this.giveUpFlights()
  }

  #stopTicking(): void {
    clearInterval(this.#ticker)
    this.#ticker = undefined
  }

  #publishLocally(publication: Publication, mark: string | undefined, isRepeat: boolean): Published {
    if (isRepeat) return { scope: 'node', duplicate: true }
    if (mark !== undefined) this.#localMarks.set(mark, this.#now)
    // What is still on its way was before it.
    this.#deliverThrough(Infinity)
    this.#options.deliverLocally(publication)
    return { scope: 'node' }
  }

  readonly #sendAll = (): void => {
    this.#isSending = false
    // What was given up meanwhile has reached this node's members, and its sender knows that it went no further.
    const batches = this.#outgoing.take(({ hasAnswer }) => !hasAnswer)
    const client = this.#options.client()
    if (client === undefined) {
      for (const { flights } of batches) for (const flight of flights) this.#fall(flight)
      return
    }
    client.inOneWrite(() => {
      for (const batch of batches) void this.#send(client, batch)
    })
  }

  async #send(client: RedisClient, batch: PublishBatch): Promise<void> {
    try {
      const reply = (await this.#run(client, batch)) as (string | number)[]
      this.answered()
      this.#land(batch.flights, reply)
    } catch (error) {
      this.#fail(batch.flights, error as Error)
    }
  }

  #run(client: RedisClient, { room, flights }: PublishBatch): Promise<unknown> {
    const { keys, clock, historySize, historyTtlMs, historyMaxBytes } = this.#options
    // Redis Cluster wants a script's keys in its channel's slot, those too that stay unused.
    const channel = keys.channel(room)
    const keyNames = room === undefined ? [channel, channel] : [keys.messages(room), keys.position(room)]
    const args = [
      channel,
      payloadHeader(this.#node, flights),
      Math.round(clock.wallMs() + this.#clockOffsetMs + DEADLINE_MS),
      room === undefined ? 0 : historySize,
      historyTtlMs,
      historyTtlMs + POSITION_EXTRA_TTL_MS,
      historyMaxBytes,
      newEpoch(),
      KEY_TTL_MS,
      client.publishCommand,
    ]
    const messages = flights.flatMap(({ head, mark }) => [head, mark === undefined ? 0 : keyNames.push(mark)])
    for (const flight of flights) flight.sentAtMs = this.#now
    return client.run(publishScript, keyNames, [...args, ...messages])
  }

  /**
   * The reply is the room's epoch and the offset of the first that is new, `-` without history; of each repeat its
   * index and first offset follow.
   */
  #land(flights: readonly Flight[], [epoch, first, ...rest]: (string | number)[]): void {
    const repeats = new Map<number, string | number>()
    for (let i = 0; i < rest.length; i += 2) repeats.set(Number(rest[i]), rest[i + 1] as string | number)
    let offset = first === '-' ? undefined : Number(first)
    for (const [index, flight] of flights.entries()) {
      const original = repeats.get(index)
      if (original !== undefined) {
        // A repeat is not published, so it does not come back.
        this.#flights.markLocal(flight.sequence, this.#now)
        this.#flights.answer(flight, {
          scope: 'cluster',
          ...(original !== '-' && { offset: Number(original) }),
          duplicate: true,
        })
        continue
      }
      if (offset !== undefined) flight.position = { epoch: String(epoch), offset }
      if (flight.isOneWay || this.#options.client() === undefined) this.#deliverFlight(flight)
      this.#flights.answer(flight, { scope: 'cluster', ...(offset !== undefined && { offset }) })
      if (offset !== undefined) offset++
    }
  }

  #fail(flights: readonly Flight[], error: Error): void {
    for (const flight of flights) this.#fall(flight)
    // A replica, a lack of permission or memory, lost scripts: all but a late publish concern the next one too.
    if (/^[A-Z]+ /.test(error.message) && !error.message.startsWith(LATE))
      this.#options.onRefused(error.message)
  }

  /** It has not got to Redis: this node's members get it. */
  #fall(flight: Flight): void {
    // On a connection that is just closing, a later one may fail before those that are on their way.
    this.#deliverThrough(flight.sequence)
    this.#giveUp(flight)
  }

  /** Says that it went no further than this node; a repeat of its key is known for one. */
  #giveUp(flight: Flight): void {
    if (flight.mark !== undefined && !flight.hasAnswer) this.#localMarks.set(flight.mark, this.#now)
    this.#flights.answer(flight, { scope: 'node' })
  }

  /** Delivers what this node's members have not got up to this sequence, in order. */
  #deliverThrough(sequence: number): void {
    for (const flight of this.#flights.undelivered()) {
      if (flight.sequence <= sequence) this.#deliverFlight(flight)
    }
  }

  /** Delivers a publish to this node's members, if they have not got it. */
  #deliverFlight(flight: Flight): void {
    if (flight.isDelivered) return
    this.#flights.markLocal(flight.sequence, this.#now)
    this.#options.deliverLocally(flight.publication, flight.position)
  }
}

const epochStem = randomBytes(6).toString('base64url')
let epochs = 0

/** The epoch of a history that may have to begin: a new one each time. Random bytes for each publish would cost 10 µs. */
export function newEpoch(): string {
  return `${epochStem}${(epochs++).toString(36)}`
}
