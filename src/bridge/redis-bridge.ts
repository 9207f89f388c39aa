import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { messageText } from '../protocol/codec.ts'
import type { Position, Scope } from '../protocol/envelope.ts'
import {
  type Bridge,
  type BridgeHost,
  type BridgeStatus,
  type ClusterStatus,
  type HistoryLimits,
  noReplay,
  POSITION_EXTRA_TTL_MS,
  type Publication,
  type Published,
  type Replay,
  type ReplayRequest,
} from './bridge.ts'
import type { RedisClient } from './redis-client.ts'
import { RedisKeys } from './redis-keys.ts'
import { RedisLink, within } from './redis-link.ts'
import { RedisNodes } from './redis-nodes.ts'
import { ENVELOPE_MAX_BYTES, readPayload } from './redis-payload.ts'
import { newEpoch, RedisPublisher } from './redis-publisher.ts'
import { heartbeatScript, replayScript, scripts } from './redis-scripts.ts'
import { RedisSubscriptions } from './redis-subscriptions.ts'
import type { RedisTarget } from './redis-url.ts'

/** How often what has lapsed is swept. */
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
  readonly #publisherLink: RedisLink
  readonly #subscriberLink: RedisLink
  readonly #publisher: RedisPublisher
  readonly #subscriptions = new RedisSubscriptions()
  readonly #nodes: RedisNodes
  /** Rooms by channel, for those that are subscribed. */
  readonly #rooms = new Map<string, string>()
  readonly #sweeper: NodeJS.Timeout
  #host: BridgeHost | undefined
  #garbage = 0
  #warnedAtMs = -Infinity

  constructor(options: RedisBridgeOptions) {
    this.#options = options
    this.#keys = new RedisKeys(options.prefix)
    this.#nodes = new RedisNodes(options.clock)
    const { target, log } = options
    this.#publisher = new RedisPublisher({
      ...options,
      keys: this.#keys,
      client: () => (this.#subscriberLink.isUp ? this.#publisherLink.client : undefined),
      comesBack: (room) => this.#subscriptions.isActive(this.#keys.channel(room)),
      onceRested: (send) => this.#host?.onceRested(send),
      deliverLocally: (publication, position) => this.#deliverLocally(publication, position),
      onRefused: (reason) => this.#publisherLink.restart(reason),
    })
    this.#publisherLink = new RedisLink({
      name: 'publisher',
      target,
      log,
      prepare: async (client) => {
        await client.load(scripts)
        await this.#beat(client)
      },
      probe: (client) => this.#beat(client),
      onDown: () => this.#publisher.giveUpFlights(),
    })
    this.#subscriberLink = new RedisLink({
      name: 'subscriber',
      target,
      log,
      prepare: async (client) => {
        client.onMessage((channel, payload) => this.#receive(channel.toString(), payload))
        await this.#subscriptions.resume(client, (error) => this.#subscriberLink.restart(error.message))
        this.#nodes.expectEcho()
      },
      probe: (client) => this.#listen(client),
      onDown: () => {
        this.#subscriptions.suspend()
        this.#publisher.deliverFlights()
      },
    })
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  start(host: BridgeHost): void {
    this.#host = host
    this.#publisher.start(host.node)
    this.#subscriptions.want(this.#keys.nodesChannel)
    this.#subscriptions.want(this.#keys.channel(undefined))
    this.#publisherLink.start()
    this.#subscriberLink.start()
  }

  async whenUp(ms: number): Promise<void> {
    const until = this.#options.clock.steadyMs() + ms
    while (!this.#isUp && this.#options.clock.steadyMs() < until) {
      await new Promise((resolve) => setTimeout(resolve, UP_CHECK_MS))
    }
  }

  publish(publication: Publication): Promise<Published> {
    return this.#publisher.publish(publication)
  }

  async subscribe(room: string): Promise<Scope> {
    const channel = this.#keys.channel(room)
    this.#rooms.set(channel, room)
    this.#subscriptions.want(channel)
    if (!this.#subscriberLink.isUp) return 'node'
    try {
      await within(
        this.#options.timeoutMs,
        this.#subscriptions.whenActive(channel),
        'no subscription in time',
      )
      return 'cluster'
    } catch {
      // It stays wanted, and is subscribed as soon as Redis lets it.
      return 'node'
    }
  }

  unsubscribe(room: string): void {
    this.#subscriptions.release(this.#keys.channel(room), this.#options.clock.steadyMs())
  }

  async replay(room: string, { since, limit }: ReplayRequest): Promise<Replay> {
    const { client } = this.#publisherLink
    const { historySize, historyTtlMs, timeoutMs } = this.#options
    // In a stall the link may still count as up; a join must not find that out for itself, by waiting.
    if (client === undefined || this.#publisher.isStalled || historySize === 0) return noReplay
    const keys = [this.#keys.messages(room), this.#keys.position(room)]
    const ttlMs = historyTtlMs + POSITION_EXTRA_TTL_MS
    const args = [since?.epoch ?? '', since?.offset ?? 0, limit, newEpoch(), ttlMs]
    try {
      const reply = await within(timeoutMs, client.runForBuffers(replayScript, keys, args), 'slow')
      const [epoch, offset, isComplete, ...messages] = reply as [Buffer, number, number, ...Buffer[]]
      this.#publisher.answered()
      return {
        position: { epoch: epoch.toString(), offset: Number(offset) },
        isComplete: isComplete === 1,
        messages,
      }
    } catch {
      // What is wrong is found, and said, by the link's own probes.
      return noReplay
    }
  }

  status(): BridgeStatus {
    const { isStalled } = this.#publisher
    return {
      kind: 'redis',
      state: this.#isUp ? 'up' : 'down',
      publisher: isStalled ? { state: 'down', reason: 'no answer' } : this.#publisherLink.status,
      subscriber: this.#subscriberLink.status,
    }
  }

  cluster(): ClusterStatus {
    return this.#nodes.count(this.#host?.countClients() ?? 0)
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    await Promise.all([this.#publisherLink.close(), this.#subscriberLink.close()])
  }

  get #isUp(): boolean {
    return this.#publisherLink.isUp && this.#subscriberLink.isUp && !this.#publisher.isStalled
  }

  #deliverLocally({ room, head, exclude }: Publication, position: Position | undefined): void {
    this.#host?.deliver(room, [{ text: messageText(head, undefined), exclude, position, isEarly: true }])
  }

  #receive(channel: string, bytes: Buffer): void {
    if (channel === this.#keys.nodesChannel) {
      if (!this.#nodes.hear(bytes, this.#host?.node)) this.#warnOfGarbage()
      return
    }
    const payload = readPayload(bytes, this.#options.maxMessageBytes + ENVELOPE_MAX_BYTES)
    if (payload === undefined) {
      this.#warnOfGarbage()
      return
    }
    const { node, messages } = payload
    const fresh =
      node === this.#host?.node
        ? messages.filter(({ sequence }) => this.#publisher.comeBack(sequence))
        : messages
    if (fresh.length === 0) return
    const room = this.#rooms.get(channel)
    if (room !== undefined || channel === this.#keys.channel(undefined)) this.#host?.deliver(room, fresh)
  }

  #warnOfGarbage(): void {
    const now = this.#options.clock.steadyMs()
    this.#garbage++
    if (now - this.#warnedAtMs < GARBAGE_WARNING_MS) return
    this.#warnedAtMs = now
    this.#options.log.warn({ count: this.#garbage }, 'dropped what no node of this version has published')
  }

  /** Tells the other nodes of this one, and proves that Redis takes writes and publishes. */
  async #beat(client: RedisClient): Promise<void> {
    const { clock } = this.#options
    const announcement = this.#nodes.announcement(this.#host?.node ?? '', this.#host?.countClients() ?? 0)
    const sentAt = clock.wallMs()
    const args = [this.#keys.nodesChannel, announcement, HEARTBEAT_TTL_MS, client.publishCommand]
    const redisTime = Number(await client.run(heartbeatScript, [this.#keys.heartbeat], args))
    this.#publisher.answered(redisTime - (sentAt + clock.wallMs()) / 2)
  }

  /** A subscriber only listens, so it is asked; and what the publisher tells all nodes must come back through it. */
  async #listen(client: RedisClient): Promise<void> {
    await client.ping()
    if (!this.#publisherLink.isUp || this.#publisher.isStalled || !this.#nodes.isDeaf) return
    // The two may have come to different servers, behind one address: both begin anew.
    this.#publisherLink.restart('is not heard')
    throw new Error('hears nothing')
  }

  #sweep(): void {
    void this.#subscriptions.sweep(this.#options.clock.steadyMs())
    this.#publisher.sweep()
    this.#nodes.sweep()
    for (const channel of this.#rooms.keys())
      if (!this.#subscriptions.has(channel)) this.#rooms.delete(channel)
  }
}
