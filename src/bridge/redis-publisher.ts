import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { BridgeFigures, BridgeHost, Publication, Published } from './bridge.ts'
import type { RedisClient } from './redis-client.ts'
import type { RedisClock } from './redis-clock.ts'
import { type Flight, Flights } from './redis-flights.ts'
import type { RedisKeys } from './redis-keys.ts'
import type { KnownPublish, RedisMarks } from './redis-marks.ts'
import { Outgoing, type PublishBatch } from './redis-outgoing.ts'
import { publishCall, readPublishReply } from './redis-publish-call.ts'
import { LATE } from './redis-scripts.ts'

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

/** What the publisher needs of its hub. */
export type PublisherHost = Pick<BridgeHost, 'node' | 'joins' | 'remember' | 'catchUp' | 'onceRested'> & {
  /** Delivers to this node's members only, ahead of its place; with its position, if Redis has given it one. */
  deliverEarly(publication: Publication, position: Flight['position'], mark: string | undefined): void
}

export interface RedisPublisherOptions {
  keys: RedisKeys
  marks: RedisMarks
  clock: Clock
  log: Log
  /** Redis's clock. */
  redisClock: RedisClock
  /** Numbers this node's publishes. */
  nextSequence(): number
  /** The tag of the room's slot's beginnings. */
  beginningsTag(channel: string): string
  figures: BridgeFigures
  /** The connection, while both links are up. */
  client(): RedisClient | undefined
  /** Whether what is published to the room comes back to this node. */
  comesBack(room: string | undefined): boolean
  /** Redis answers but does not take publishes. */
  onRefused(error: Error): void
}

/** The publishing half of the Redis bridge: every message reaches this node's members once, whatever Redis does. */
export class RedisPublisher {
  readonly #options: RedisPublisherOptions
  readonly #flights: Flights
  readonly #outgoing = new Outgoing()
  #host: PublisherHost | undefined
  #answeredAtMs = 0
  #isStalled = false
  /** Whether something has not come back in time, and nothing has since. */
  #isDeaf = false
  #isSending = false
  /** Runs while there are flights: an idle node is not woken for nothing. */
  #ticker: NodeJS.Timeout | undefined

  constructor(options: RedisPublisherOptions) {
    this.#options = options
    this.#flights = new Flights(options.nextSequence, options.figures.delivery, () => this.#stopTicking())
  }

  get isStalled(): boolean {
    return this.#isStalled
  }

  start(host: PublisherHost): void {
    this.#host = host
  }

  publish(publication: Publication): Promise<Published> {
    const { room, once } = publication
    const { keys, marks } = this.#options
    const mark = once && keys.mark(room, once.user, once.key)
    const known = mark === undefined ? undefined : marks.get(mark)
    const client = this.#isStalled ? undefined : this.#options.client()
    if (client === undefined || this.#flights.bytes > FLIGHT_MAX_BYTES) {
      // A repeat, whether the first went everywhere or not, is nothing new to the members here.
      if (known !== undefined) return Promise.resolve({ scope: 'node', duplicate: true })
      return Promise.resolve(this.#publishHere(publication, mark))
    }
    return new Promise((resolve) => {
      const isOneWay = this.#isDeaf || !this.#options.comesBack(room)
      const isRepeat = mark !== undefined && known !== undefined && this.#isKnown(publication, mark, known)
      const flight = this.#flights.begin(publication, { mark, isRepeat, isOneWay }, resolve)
      this.#outgoing.add(flight)
      this.#ticker ??= setInterval(() => this.#tick(), TICK_MS).unref()
      if (this.#isSending) return
      this.#isSending = true
      this.#host?.onceRested(this.#sendAll)
    })
  }

  /** A publish of this node has come back, and is delivered right after this. */
  comeBack(sequence: number): void {
    this.#isDeaf = false
    // In a room with history the hub sees by the offsets that they are missing, and reads them.
    for (const flight of this.#flights.oneWayBefore(sequence))
      if (!this.#keepsHistory(flight)) this.#deliverEarly(flight)
    this.#flights.delivered({ sequence }, this.#now)
  }

  /** Nothing comes back any more: this node's members get what is on its way as Redis answers. */
  expectNoReturn(): void {
    this.#isDeaf = false
    this.#flights.expectNoReturn()
    const byRoom = new Map<string | undefined, Flight[]>()
    for (const flight of this.#flights.undelivered()) {
      if (!flight.hasAnswer || flight.isSettling) continue
      const { room } = flight.publication
      const flights = byRoom.get(room)
      if (flights === undefined) byRoom.set(room, [flight])
      else flights.push(flight)
    }
    for (const flights of byRoom.values()) void this.#settle(flights)
  }

  /** Nothing is answered any more: this node's members get what is on its way now, in order. */
  giveUpFlights(): void {
    this.#isDeaf = false
    for (const flight of this.#flights.undelivered()) this.#deliverEarly(flight)
    for (const flight of this.#flights.unanswered()) this.#giveUp(flight)
  }

  /**
   * Another master has these rooms now, and what is published from now on does not wait for what is on its way here:
   * this node's members get that first.
   */
  letGo(isElsewhere: (room: string | undefined) => boolean): void {
    for (const flight of this.#flights.undelivered())
      if (isElsewhere(flight.publication.room)) this.#deliverEarly(flight)
  }

  /** Redis has answered something. */
  answered(): void {
    this.#answeredAtMs = this.#now
    if (!this.#isStalled) return
    this.#isStalled = false
    this.#options.log.info({}, 'redis answers again')
  }

  get #now(): number {
    return this.#options.clock.steadyMs()
  }

  /** Members who have it from a first try that went no further than this node do not get it again. */
  #isKnown({ room, head }: Publication, mark: string, known: KnownPublish): boolean {
    return known.isEverywhere || (this.#host?.remember(room, head, known.joins, mark) ?? false)
  }

  #keepsHistory({ publication }: Flight): boolean {
    return publication.history !== undefined && publication.history.size > 0
  }

  #tick(): void {
    if (this.#flights.overdue(OVERDUE_TICKS).some(({ isSettling }) => !isSettling)) {
      this.expectNoReturn()
      this.#isDeaf = true
    }
    const sinceMs = this.#flights.waitingSinceMs
    if (sinceMs === undefined || this.#isStalled) return
    if (this.#now - Math.max(sinceMs, this.#answeredAtMs) < STALL_MS) return
    this.#isStalled = true
    this.#options.figures.stalls++
    this.#options.log.warn({}, 'redis does not answer')
    this.giveUpFlights()
  }

  #stopTicking(): void {
    clearInterval(this.#ticker)
    this.#ticker = undefined
  }

  #publishHere(publication: Publication, mark: string | undefined): Published {
    this.#deliverThrough(publication.room, Infinity)
    this.#host?.deliverEarly(publication, undefined, mark)
    if (mark !== undefined) this.#options.marks.isHere(mark, this.#host?.joins ?? 0)
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

  #run(client: RedisClient, batch: PublishBatch): Promise<unknown> {
    const { script, keys, args } = publishCall(batch, {
      ...this.#options,
      node: this.#host?.node ?? '',
      takenUntilMs: this.#options.redisClock.at(this.#now) + DEADLINE_MS,
      publishCommand: client.publishCommand,
    })
    for (const flight of batch.flights) flight.sentAtMs = this.#now
    return client.run(script, keys, args)
  }

  #land(flights: readonly Flight[], reply: (string | number)[]): void {
    const oneWay: Flight[] = []
    for (const [index, { position, isDuplicate, offset }] of readPublishReply(
      flights.length,
      reply,
    ).entries()) {
      const flight = flights[index] as Flight
      if (flight.mark !== undefined) this.#options.marks.isEverywhere(flight.mark)
      const published: Published = { scope: 'cluster', ...(offset !== undefined && { offset }) }
      if (isDuplicate) {
        // A repeat is not published, so it does not come back.
        this.#flights.delivered(flight)
        this.#flights.answer(flight, { ...published, duplicate: true })
        continue
      }
      flight.position = position
      this.#flights.answer(flight, published)
      if (flight.isOneWay || this.#options.client() === undefined) oneWay.push(flight)
    }
    if (oneWay.length > 0) void this.#settle(oneWay)
  }

  /**
   * Gives this node's members what Redis has taken of one room and does not bring back: by way of the history, so that
   * it is in its place among the others', else ahead of it. Never rejects.
   */
  async #settle(flights: readonly Flight[]): Promise<void> {
    const kept = flights.filter(({ position }) => position !== undefined)
    const room = kept[0]?.publication.room
    if (room !== undefined) {
      for (const flight of flights) flight.isSettling = true
      if ((await this.#host?.catchUp(room)) === 'whole')
        for (const flight of kept) this.#flights.delivered(flight)
    }
    for (const flight of flights) this.#deliverEarly(flight)
  }

  #fail(flights: readonly Flight[], error: Error): void {
    for (const flight of flights) this.#fall(flight)
    // A replica, a lack of permission or memory, lost scripts: all but a late publish concern the next one too.
    if (/^[A-Z]+ /.test(error.message) && !error.message.startsWith(LATE)) this.#options.onRefused(error)
  }

  /** It has not got to Redis: this node's members get it. */
  #fall(flight: Flight): void {
    // On a connection that is just closing, a later one may fail before those that are on their way.
    this.#deliverThrough(flight.publication.room, flight.sequence)
    this.#giveUp(flight)
  }

  /** Says that it went no further than this node; a repeat of its key is known for one. */
  #giveUp(flight: Flight): void {
    const { mark, isRepeat, hasAnswer, earlyJoins } = flight
    if (mark !== undefined && !isRepeat && !hasAnswer)
      this.#options.marks.isHere(mark, earlyJoins ?? this.#host?.joins ?? 0)
    this.#flights.answer(flight, { scope: 'node', ...(isRepeat && { duplicate: true }) })
  }

  /** Delivers what this node's members have not got of the room up to this sequence, in order. */
  #deliverThrough(room: string | undefined, sequence: number): void {
    for (const flight of this.#flights.undelivered()) {
      if (flight.publication.room === room && flight.sequence <= sequence) this.#deliverEarly(flight)
    }
  }

  /** Delivers a publish to this node's members, if they have not got it. */
  #deliverEarly(flight: Flight): void {
    if (flight.isDelivered) return
    flight.earlyJoins = this.#host?.joins
    this.#flights.delivered(flight)
    // Nothing new to the members here, unless Redis has said otherwise.
    if (flight.isRepeat && !flight.hasAnswer) return
    this.#host?.deliverEarly(flight.publication, flight.position, flight.mark)
  }
}
