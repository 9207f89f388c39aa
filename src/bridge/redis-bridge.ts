import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { messageText } from '../protocol/codec.ts'
import type { Scope } from '../protocol/envelope.ts'
import {
  type Bridge,
  type BridgeHost,
  type BridgeStatus,
  type ClusterStatus,
  type HistoryLimits,
  KEY_TTL_MS,
  POSITION_EXTRA_TTL_MS,
  type Publication,
  type Published,
  type Replay,
  type ReplayRequest,
} from './bridge.ts'
import type { RedisClient } from './redis-client.ts'
import { type Flight, Flights } from './redis-flights.ts'
import { RedisKeys } from './redis-keys.ts'
import { RedisLink, within } from './redis-link.ts'
import { RedisNodes } from './redis-nodes.ts'
import { ENVELOPE_MAX_BYTES, payloadHeader, readPayload } from './redis-payload.ts'
import { heartbeatScript, LATE, publishScript, replayScript, scripts } from './redis-scripts.ts'
import { RedisSubscriptions } from './redis-subscriptions.ts'
import type { RedisTarget } from './redis-url.ts'

/** With publishes on their way and no answer of any kind for this long, Redis counts as down: members must not wait. */
const STALL_MS = 500
/** Redis takes a publish only so long after it was sent: a thawed server must not bring old messages. */
const PUBLISH_DEADLINE_MS = 1000
/** More than this on its way to Redis is delivered locally only: nothing is queued without bound. */
const FLIGHT_MAX_BYTES = 64 * 1024 * 1024
/** How often stalls are looked for, and how often what has lapsed is swept. */
const TICK_MS = 100
const SWEEP_MS = 1000
/** How often a start looks whether Redis is there. */
const UP_CHECK_MS = 20
/** At most one warning about foreign payloads in this time. */
const GARBAGE_WARNING_MS = 10_000
/** The heartbeat's key vanishes so long after the last node. */
const HEARTBEAT_TTL_MS = 15_000

export interface RedisBridgeOptions extends HistoryLimits {
  target: RedisTarget
  prefix: string
  /** How long a join waits for its subscription, and a read for its answer. */
  timeoutMs: number
  maxMessageBytes: number
  clock: Clock
  log: Log
}

/** The bridge over Redis: a channel a room; history, offset, dedupe and publish in one script; two watched links. */
export class RedisBridge implements Bridge {
  readonly #options: RedisBridgeOptions
  readonly #keys: RedisKeys
  readonly #publisher: RedisLink
  readonly #subscriber: RedisLink
  readonly #subscriptions = new RedisSubscriptions()
  readonly #flights = new Flights()
  readonly #nodes: RedisNodes
  /** Rooms by channel, for those that are subscribed. */
  readonly #rooms = new Map<string, string>()
  /** Idempotent publishes that reached this node's members only, by their mark, with the time. */
  readonly #localMarks = new Map<string, number>()
  readonly #timers: NodeJS.Timeout[]
  #host: BridgeHost | undefined
  /** Redis's clock minus ours, in milliseconds. */
  #clockOffsetMs = 0
  #answeredAtMs = 0
  #isStalled = false
  #garbage = 0
  #warnedAtMs = -Infinity

  constructor(options: RedisBridgeOptions) {
    this.#options = options
    this.#keys = new RedisKeys(options.prefix)
    this.#nodes = new RedisNodes(options.clock)
    const { target, log } = options
    this.#publisher = new RedisLink({
      name: 'publisher',
      target,
      log,
      prepare: async (client) => {
        await client.load(scripts)
        await this.#beat(client)
      },
      probe: (client) => this.#beat(client),
      onUp: () => {},
      onDown: () => this.#giveUpFlights(),
    })
    this.#subscriber = new RedisLink({
      name: 'subscriber',
      target,
      log,
      prepare: async (client) => {
        client.onMessage((channel, payload) => this.#receive(channel.toString(), payload))
        await this.#subscriptions.resume(client, (error) => this.#subscriber.restart(error.message))
        this.#nodes.expectEcho()
      },
      probe: (client) => this.#listenFor(client),
      onUp: () => {},
      onDown: () => {
        this.#subscriptions.suspend()
        this.#deliverFlights()
      },
    })
    this.#timers = [
      setInterval(() => this.#watchForStall(), TICK_MS).unref(),
      setInterval(() => this.#sweep(), SWEEP_MS).unref(),
    ]
  }

  start(host: BridgeHost): void {
    this.#host = host
    const ignore = () => {}
    this.#subscriptions.want(this.#keys.nodesChannel, ignore)
    this.#subscriptions.want(this.#keys.channel(undefined), ignore)
    this.#publisher.start()
    this.#subscriber.start()
  }

  async whenUp(ms: number): Promise<void> {
    const until = this.#now + ms
    while (!this.#isUp && this.#now < until) await new Promise((resolve) => setTimeout(resolve, UP_CHECK_MS))
  }

  async publish(publication: Publication): Promise<Published> {
    const { room, once } = publication
    const mark = once === undefined ? undefined : this.#keys.once(room, once.user, once.key)
    const wasLocal = mark !== undefined && this.#localMarks.has(mark)
    const client = this.#publisher.client
    if (client === undefined || !this.#isUp || this.#flights.bytes > FLIGHT_MAX_BYTES) {
      if (wasLocal) return { scope: 'node', duplicate: true }
      if (mark !== undefined) this.#localMarks.set(mark, this.#now)
      this.#deliverLocally(publication)
      return { scope: 'node' }
    }
    return new Promise((resolve) => {
      const head = Buffer.from(publication.head)
      const flight: Flight = {
        sequence: this.#flights.nextSequence(),
        publication,
        bytes: head.length,
        sentAtMs: this.#now,
        resolve,
        hasAnswer: false,
        isDelivered: false,
      }
      this.#flights.begin(flight)
      if (wasLocal) this.#flights.markLocal(flight.sequence, this.#now)
      else if (!this.#subscriptions.isActive(this.#keys.channel(room))) this.#deliverFlight(flight)
      void this.#send(client, flight, head, mark)
    })
  }

  async subscribe(room: string): Promise<Scope> {
    const channel = this.#keys.channel(room)
    this.#rooms.set(channel, room)
    const active = new Promise<Scope>((resolve) => {
      this.#subscriptions.want(channel, () => resolve('cluster'))
    })
    if (!this.#subscriber.isUp && !this.#subscriptions.isActive(channel)) return 'node'
    return within(this.#options.timeoutMs, active, 'no subscription in time').catch(() => 'node' as const)
  }

  unsubscribe(room: string): void {
    this.#subscriptions.release(this.#keys.channel(room), this.#now)
  }

  async replay(room: string, { since, limit }: ReplayRequest): Promise<Replay> {
    const client = this.#publisher.client
    const nothing: Replay = { position: undefined, isComplete: false, messages: [] }
    if (client === undefined || this.#options.historySize === 0) return nothing
    const keys = [this.#keys.messages(room), this.#keys.position(room)]
    const args = [since?.epoch ?? '', since?.offset ?? 0, limit, newEpoch(), this.#positionTtlMs]
    try {
      const reply = client.runForBuffers(replayScript, keys, args)
      const [epoch, offset, isComplete, ...messages] = (await within(
        this.#options.timeoutMs,
        reply,
        'slow',
      )) as Buffer[]
      this.#answered()
      return {
        position: { epoch: String(epoch), offset: Number(offset) },
        isComplete: Number(isComplete) === 1,
        messages,
      }
    } catch {
      // The link's own probes find out and say what is wrong with it.
      return nothing
    }
  }

  status(): BridgeStatus {
    const publisher = this.#isStalled
      ? ({ state: 'down', reason: 'no answer' } as const)
      : this.#publisher.status
    const subscriber = this.#subscriber.status
    return { kind: 'redis', state: this.#isUp ? 'up' : 'down', publisher, subscriber }
  }

  cluster(): ClusterStatus {
    return this.#nodes.count(this.#host?.countClients() ?? 0)
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await Promise.all([this.#publisher.close(), this.#subscriber.close()])
    this.#giveUpFlights()
  }

  get #isUp(): boolean {
    return this.#publisher.isUp && this.#subscriber.isUp && !this.#isStalled
  }

  get #now(): number {
    return this.#options.clock.steadyMs()
  }

  get #positionTtlMs(): number {
    return this.#options.historyTtlMs + POSITION_EXTRA_TTL_MS
  }

  async #send(client: RedisClient, flight: Flight, head: Buffer, mark: string | undefined): Promise<void> {
    const { room, exclude } = flight.publication
    const { historySize, historyTtlMs, historyMaxBytes, clock } = this.#options
    const keysHistory = room !== undefined && historySize > 0
    // Without a room there is no history, but Redis Cluster wants all keys in the channel's slot.
    const unused = this.#keys.channel(room)
    const keys = [
      room === undefined ? unused : this.#keys.messages(room),
      room === undefined ? unused : this.#keys.position(room),
      mark ?? unused,
    ]
    const args = [
      this.#keys.channel(room),
      payloadHeader(this.#node, flight.sequence, exclude, head),
      head,
      Math.round(clock.wallMs() + this.#clockOffsetMs + PUBLISH_DEADLINE_MS),
      keysHistory ? historySize : 0,
      historyTtlMs,
      this.#positionTtlMs,
      historyMaxBytes,
      newEpoch(),
      mark === undefined ? 0 : KEY_TTL_MS,
      client.isCluster ? 'SPUBLISH' : 'PUBLISH',
    ]
    try {
      const [offset, isRepeat] = (await client.run(publishScript, keys, args)) as [string | number, number]
      this.#answered()
      this.#land(flight, { offset, isRepeat: isRepeat === 1 })
    } catch (error) {
      this.#fail(flight, mark, error as Error)
    }
  }

  #land(flight: Flight, { offset, isRepeat }: { offset: string | number; isRepeat: boolean }): void {
    const published: Published = { scope: 'cluster', ...(offset !== '-' && { offset: Number(offset) }) }
    // A repeat is not published, so it does not come back.
    if (isRepeat) flight.isDelivered = true
    else if (!this.#subscriber.isUp) this.#deliverFlight(flight)
    this.#flights.answer(flight, isRepeat ? { ...published, duplicate: true } : published)
  }

  #fail(flight: Flight, mark: string | undefined, error: Error): void {
    if (mark !== undefined && !flight.hasAnswer) this.#localMarks.set(mark, this.#now)
    this.#deliverFlight(flight)
    this.#flights.answer(flight, { scope: 'node' })
    // The server answers but does not take publishes: a replica, a lack of permission or memory, lost scripts.
    if (/^[A-Z]+ /.test(error.message) && !error.message.startsWith(LATE))
      this.#publisher.restart(error.message)
  }

  /** Delivers a publish to this node's members, if they have not got it. */
  #deliverFlight(flight: Flight): void {
    if (flight.isDelivered) return
    this.#flights.markLocal(flight.sequence, this.#now)
    this.#deliverLocally(flight.publication)
  }

  /** What is on its way does not come back here: the members get it now, in order. */
  #deliverFlights(): void {
    for (const flight of this.#flights.undelivered()) this.#deliverFlight(flight)
  }

  #giveUpFlights(): void {
    this.#deliverFlights()
    for (const flight of this.#flights.unanswered()) this.#flights.answer(flight, { scope: 'node' })
  }

  #deliverLocally({ room, head, exclude }: Publication): void {
    this.#host?.deliver({ room, text: messageText(head, undefined), exclude, position: undefined })
  }

  #receive(channel: string, bytes: Buffer): void {
    if (channel === this.#keys.nodesChannel) {
      if (!this.#nodes.hear(bytes, this.#node)) this.#warnOfGarbage()
      return
    }
    const payload = readPayload(bytes, this.#options.maxMessageBytes + ENVELOPE_MAX_BYTES)
    if (payload === undefined) {
      this.#warnOfGarbage()
      return
    }
    const { node, sequence, exclude, position, text } = payload
    if (node === this.#node && !this.#flights.comeBack(sequence)) return
    this.#host?.deliver({ room: this.#rooms.get(channel), text, exclude, position })
  }

  #warnOfGarbage(): void {
    this.#garbage++
    if (this.#now - this.#warnedAtMs < GARBAGE_WARNING_MS) return
    this.#warnedAtMs = this.#now
    this.#options.log.warn({ count: this.#garbage }, 'dropped what no node of this version has published')
  }

  async #beat(client: RedisClient): Promise<void> {
    const announcement = this.#nodes.announcement(this.#node, this.#host?.countClients() ?? 0)
    const sentAt = this.#options.clock.wallMs()
    const reply = await client.run(
      heartbeatScript,
      [this.#keys.heartbeat],
      [this.#keys.nodesChannel, announcement, HEARTBEAT_TTL_MS, client.isCluster ? 'SPUBLISH' : 'PUBLISH'],
    )
    this.#clockOffsetMs = Number(reply) - (sentAt + this.#options.clock.wallMs()) / 2
    this.#answered()
  }

  /** A subscriber only listens, so it is asked; and what the publisher tells all nodes must come back through it. */
  async #listenFor(client: RedisClient): Promise<void> {
    await client.ping()
    if (this.#publisher.isUp && !this.#isStalled && this.#nodes.isDeaf) throw new Error('hears nothing')
  }

  #answered(): void {
    this.#answeredAtMs = this.#now
    if (!this.#isStalled) return
    this.#isStalled = false
    this.#options.log.info({}, 'redis answers again')
  }

  #watchForStall(): void {
    const oldest = this.#flights.oldest
    if (oldest === undefined || this.#isStalled) return
    if (this.#now - Math.max(oldest.sentAtMs, this.#answeredAtMs) < STALL_MS) return
    this.#isStalled = true
    this.#options.log.warn({}, 'redis does not answer')
    this.#giveUpFlights()
  }

  #sweep(): void {
    const now = this.#now
    this.#subscriptions.sweep(now)
    this.#flights.sweep(now)
    this.#nodes.sweep()
    for (const channel of this.#rooms.keys()) if (!this.#subscriptions.has(channel)) this.#rooms.delete(channel)
    for (const [mark, at] of this.#localMarks) {
      if (now - at < KEY_TTL_MS) break
      this.#localMarks.delete(mark)
    }
  }

  get #node(): string {
    return this.#host?.node ?? ''
  }
}

function newEpoch(): string {
  return randomBytes(6).toString('base64url')
}
