import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { type BridgeFigures, type LinkStatus, noReplay, type Replay, type ReplayRequest } from './bridge.ts'
import { RedisClient, type RedisServer } from './redis-client.ts'
import { RedisClock } from './redis-clock.ts'
import { hasLostScripts, isElsewhere } from './redis-fault.ts'
import type { RedisKeys } from './redis-keys.ts'
import { RedisLink, within } from './redis-link.ts'
import { type PublisherHost, RedisPublisher, type RedisPublisherOptions } from './redis-publisher.ts'
import { readHistory } from './redis-read.ts'
import { checkScript, heartbeatScript, scripts, withScripts } from './redis-scripts.ts'
import { RedisSubscriptions } from './redis-subscriptions.ts'

/** The heartbeat's key vanishes so long after the last node. */
const HEARTBEAT_TTL_MS = 15_000
/** This node's own announcement must come back within this time, or its subscriber is deaf. */
const DEAF_MS = 3000
/** A subscriber that is connected waits so long for the publisher, which reads the history. */
const PUBLISHER_FIRST_MS = 1000
/** A master that was replaced is still listened to for this long: other nodes may find out later. */
const RETIRE_MS = 3000

export interface RedisShardOptions
  extends Pick<RedisPublisherOptions, 'marks' | 'nextSequence' | 'beginningsTag'> {
  figures: BridgeFigures
  server: RedisServer
  /** Whether it is one of a Cluster's masters. */
  isSharded: boolean
  keys: RedisKeys
  timeoutMs: number
  clock: Clock
  log: Log
  /** What the heartbeat tells the other nodes of this one. */
  announcement(): string
  onMessage(channel: string, payload: Buffer): void
  /** A room's messages may have passed this node by, and can be read now. */
  onGapEnd(channel: string): void
  /** The channel is no longer wanted here. */
  onGone(channel: string): void
  /** Asks where the masters are; resolves when that is known. */
  refresh(): Promise<void>
}

/** What a shard is responsible for, and where its heartbeat goes: to a channel of its own, so that it comes back. */
export interface ShardPlace {
  /** As `0-5460,9000`; undefined for all. */
  slots: string | undefined
  tag: string
  beatChannel: string
}

/**
 * One master: a link that publishes and reads, a link that listens, each watched by itself, and what is on its way. One
 * Redis is one of these; a Cluster has one for each master.
 */
export class RedisShard {
  readonly subscriptions: RedisSubscriptions
  readonly publisher: RedisPublisher
  readonly #options: RedisShardOptions
  readonly #publisherLink: RedisLink
  readonly #subscriberLink: RedisLink
  readonly #redisClock = new RedisClock()
  /** Channels with a gap that is to be read, as soon as both links are up. */
  readonly #gaps = new Set<string>()
  #place: ShardPlace
  #echoAtMs = 0
  /** When the first heartbeat was sent that is not heard yet. */
  #toldAtMs: number | undefined
  #isLeaving = false
  #isRetired = false

  constructor(options: RedisShardOptions, place: ShardPlace) {
    this.#options = options
    this.#place = place
    const { log, server, isSharded } = options
    const fields = () => (this.#place.slots === undefined ? {} : { slots: this.#place.slots })
    this.subscriptions = new RedisSubscriptions({
      onGapEnd: (channel) => {
        this.#gaps.add(channel)
        this.#endGaps()
      },
      onGone: (channel) => options.onGone(channel),
      onElsewhere: () => void options.refresh(),
      onFailure: (error) => this.#subscriberLink.restart(error.message),
    })
    this.subscriptions.want(place.beatChannel)
    this.publisher = new RedisPublisher({
      ...options,
      redisClock: this.#redisClock,
      client: () => (this.#mayPublish ? this.#publisherLink.client : undefined),
      comesBack: (room) => this.subscriptions.isActive(options.keys.channel(room)),
      onRefused: (error) => this.#refused(error),
    })
    this.#publisherLink = new RedisLink({
      name: 'publisher',
      log,
      fields,
      create: () => new RedisClient(server, { name: 'roomcast-publisher', isSharded }),
      prepare: (client) => this.#prepare(client),
      probe: (client) => this.#probe(client),
      onUp: () => this.#endGaps(),
      onDown: () => this.publisher.giveUpFlights(),
    })
    this.#subscriberLink = new RedisLink({
      name: 'subscriber',
      log,
      fields,
      create: () => new RedisClient(server, { name: 'roomcast-subscriber', isSharded }),
      prepare: async (client, progress) => {
        // What is heard first may follow on something that was missed and is to be read.
        await this.#publisherLink.whenUp(PUBLISHER_FIRST_MS)
        progress()
        client.onMessage((channel, payload) => options.onMessage(channel.toString(), payload))
        await this.subscriptions.resume(client, progress)
        this.#echoAtMs = options.clock.steadyMs()
        this.#toldAtMs = undefined
      },
      probe: (client) => this.#listen(client),
      onUp: () => this.#endGaps(),
      onDown: () => {
        this.subscriptions.suspend()
        this.publisher.expectNoReturn()
      },
    })
  }

  start(host: PublisherHost): void {
    this.publisher.start(host)
    this.#publisherLink.start()
    this.#subscriberLink.start()
  }

  get isUp(): boolean {
    const areUp = this.#publisherLink.isUp && this.#subscriberLink.isUp
    return areUp && !this.publisher.isStalled && !this.#isLeaving
  }

  /** The connection for what is no room's; undefined while nothing should be given to it. */
  get client(): RedisClient | undefined {
    return this.isUp && !this.#isRetired ? this.#publisherLink.client : undefined
  }

  /** What comes back through it, and is not lost with it. */
  get #mayPublish(): boolean {
    return this.#subscriberLink.isUp && !this.#isLeaving && !this.#isRetired
  }

  /** Whether a channel can be confirmed now. */
  get listens(): boolean {
    return this.#subscriberLink.isUp
  }

  get status(): { publisher: LinkStatus; subscriber: LinkStatus } {
    const { status } = this.#publisherLink
    const reason = this.publisher.isStalled
      ? 'no answer'
      : this.#isLeaving
        ? 'a failover is under way'
        : undefined
    return {
      publisher: status.state === 'up' && reason !== undefined ? { state: 'down', reason } : status,
      subscriber: this.#subscriberLink.status,
    }
  }

  get place(): ShardPlace {
    return this.#place
  }

  /** Its slots have changed, and so may have what the heartbeat can use. */
  setPlace(place: ShardPlace): void {
    const { beatChannel } = this.#place
    this.#place = place
    if (beatChannel === place.beatChannel) return
    this.subscriptions.release(beatChannel, this.#options.clock.steadyMs())
    this.subscriptions.want(place.beatChannel)
    this.#echoAtMs = this.#options.clock.steadyMs()
  }

  /** While another server is to take its place it is given nothing that it may lose. */
  setLeaving(isLeaving: boolean): void {
    if (isLeaving && !this.#isLeaving) this.#options.log.warn({}, 'redis is about to be replaced by another')
    this.#isLeaving = isLeaving
  }

  /** This node has heard its own announcement through this server. */
  heardItself(channel: string): void {
    if (channel !== this.#place.beatChannel) return
    const { clock, figures } = this.#options
    this.#echoAtMs = clock.steadyMs()
    if (this.#toldAtMs !== undefined) figures.lag.add(this.#echoAtMs - this.#toldAtMs)
    this.#toldAtMs = undefined
  }

  /** A room's messages may have passed this node by; they are read when that can be done. */
  noteGap(channel: string): void {
    this.#gaps.add(channel)
  }

  /** Reads a room's history. Never rejects. */
  async replay(room: string, request: ReplayRequest): Promise<Replay> {
    const { client } = this.#publisherLink
    // In a stall the link may still count as up; a join must not find that out for itself, by waiting.
    if (client === undefined || this.publisher.isStalled || request.history.size === 0) return noReplay
    try {
      const reading = readHistory(client, room, request, this.#options)
      const replay = await within(this.#options.timeoutMs, reading, 'slow')
      this.publisher.answered()
      return replay
    } catch (error) {
      // What else is wrong is found, and said, by the link's own probes.
      if (isElsewhere(error as Error)) void this.#options.refresh()
      return noReplay
    }
  }

  /** Another master has what was its own. It takes no more publishes, and is listened to for a while yet. */
  async retire(): Promise<void> {
    this.#isRetired = true
    this.subscriptions.release(this.#place.beatChannel, this.#options.clock.steadyMs())
    await new Promise((resolve) => setTimeout(resolve, RETIRE_MS).unref())
    await this.close()
  }

  async close(): Promise<void> {
    await Promise.all([this.#publisherLink.close(), this.#subscriberLink.close()])
    this.publisher.giveUpFlights()
  }

  async #prepare(client: RedisClient): Promise<void> {
    const isOfCluster = /cluster_enabled:1/.test(String(await client.call('INFO', 'cluster')))
    if (isOfCluster && !this.#options.isSharded)
      throw new Error('it is of a Cluster and the URL does not say so')
    await client.load(scripts)
    await client.run(checkScript, [this.#options.keys.check(this.#place.tag)], [])
    await this.#tell(client)
  }

  /** Proves that the server takes writes and publishes, tells other nodes of this one, and learns the server's clock. */
  async #tell(client: RedisClient): Promise<void> {
    const { keys, clock } = this.#options
    const { beatChannel, tag } = this.#place
    const sentAtMs = clock.steadyMs()
    this.#toldAtMs ??= sentAtMs
    const args = [beatChannel, this.#options.announcement(), HEARTBEAT_TTL_MS, client.publishCommand]
    const beat = () => client.run(heartbeatScript, [keys.heartbeat(tag)], args)
    const redisMs = Number(await withScripts(client, beat))
    this.#redisClock.note(sentAtMs, clock.steadyMs(), redisMs)
    this.publisher.answered()
  }

  async #probe(client: RedisClient): Promise<void> {
    if (this.#isRetired) return
    try {
      await this.#tell(client)
    } catch (error) {
      if (!isElsewhere(error as Error)) throw error
      // The slot of the heartbeat has moved; another of this server's will do.
      await this.#options.refresh()
      await this.#tell(client)
    }
  }

  /** A subscriber only listens, so it is asked; and what the publisher tells all nodes must come back through it. */
  async #listen(client: RedisClient): Promise<void> {
    await client.ping()
    this.#endGaps()
    if (!this.#publisherLink.isUp || this.publisher.isStalled || this.#isRetired) return
    if (this.#options.clock.steadyMs() - this.#echoAtMs <= DEAF_MS) return
    // The two may have come to different servers, behind one address: both begin anew.
    this.#publisherLink.restart('is not heard')
    throw new Error('hears nothing')
  }

  #refused(error: Error): void {
    const { client } = this.#publisherLink
    if (isElsewhere(error)) void this.#options.refresh()
    else if (hasLostScripts(error) && client !== undefined)
      client.load(scripts).catch((error: Error) => this.#publisherLink.restart(error.message))
    else this.#publisherLink.restart(error.message)
  }

  /** Reading needs the publisher; what is missed until then is read as well. */
  #endGaps(): void {
    if (this.#gaps.size === 0 || !this.isUp) return
    const channels = [...this.#gaps]
    this.#gaps.clear()
    for (const channel of channels) this.#options.onGapEnd(channel)
  }
}
