import type { Clock } from '../clock.ts'
import { Distribution } from '../distribution.ts'
import type { Log } from '../log.ts'
import { messageText } from '../protocol/codec.ts'
import type { Scope } from '../protocol/envelope.ts'
import {
  type Bridge,
  type BridgeHost,
  type BridgeStatus,
  type ClusterStatus,
  type Kept,
  type Note,
  type NotesRead,
  noReplay,
  type Publication,
  type Published,
  type Replay,
  type ReplayRequest,
} from './bridge.ts'
import { GarbageLog } from './garbage-log.ts'
import type { RedisServer } from './redis-client.ts'
import { RedisClock } from './redis-clock.ts'
import { ClusterTopology } from './redis-cluster-topology.ts'
import { RedisKeys } from './redis-keys.ts'
import { RedisMarks } from './redis-marks.ts'
import { RedisNodeChannel } from './redis-node-channel.ts'
import { RedisNodes } from './redis-nodes.ts'
import { ENVELOPE_MAX_BYTES, type IncomingMessage, readPayload } from './redis-payload.ts'
import { type PublisherHost, RedisPublisher } from './redis-publisher.ts'
import { RedisRoomChannels } from './redis-room-channels.ts'
import { SentinelTopology } from './redis-sentinel-topology.ts'
import { RedisShard, type ShardPlace } from './redis-shard.ts'
import { RedisShards } from './redis-shards.ts'
import { statusOf } from './redis-status.ts'
import { FixedTopology, type RedisTopology } from './redis-topology.ts'
import type { RedisTarget } from './redis-url.ts'

/** How often what has lapsed is swept. */
const SWEEP_MS = 1000
/** From a Redis beside us to one that is about to count as away. */
const LAG_MS = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]
/** How often a start looks whether Redis is there. */
const UP_CHECK_MS = 20

export interface RedisBridgeOptions {
  target: RedisTarget
  prefix: string
  /** How long a join waits for its subscription, and a read for its answer. */
  timeoutMs: number
  maxMessageBytes: number
  clock: Clock
  log: Log
}

/** The bridge over Redis: a channel a room; history, offset, dedupe and publish in one script; two watched links a master. */
export class RedisBridge implements Bridge {
  readonly #options: RedisBridgeOptions
  readonly #keys: RedisKeys
  readonly #topology: RedisTopology
  readonly #shards: RedisShards
  readonly #marks: RedisMarks
  readonly #nodes: RedisNodes
  readonly #nodeChannel: RedisNodeChannel
  readonly roomChannels: RedisRoomChannels
  readonly figures = { lag: new Distribution(LAG_MS), delivery: new Distribution(LAG_MS), stalls: 0 }
  /** Takes what has no master: for this node's members. */
  readonly #offline: RedisPublisher
  /** Rooms by channel, for those that are subscribed. */
  readonly #rooms = new Map<string, string>()
  /** What was heard while a master is being replaced: as a replica of the new one it would tell it again. */
  readonly #twins = new Set<string>()
  readonly #garbage: GarbageLog
  readonly #sweeper: NodeJS.Timeout
  #host: BridgeHost | undefined
  #sequence = 0
  #foreignNodes = 0

  constructor(options: RedisBridgeOptions) {
    this.#options = options
    const { clock, target } = options
    this.#keys = new RedisKeys(options.prefix)
    this.#nodes = new RedisNodes(clock)
    this.#garbage = new GarbageLog(clock, options.log)
    this.#marks = new RedisMarks(clock)
    this.#topology = topologyOf(target)
    this.#shards = new RedisShards({
      isCluster: target.kind === 'cluster',
      keys: this.#keys,
      node: () => this.#host?.node ?? '',
      create: (server, place) => this.#createShard(server, place),
      onGone: (channel) => this.#rooms.delete(channel),
    })
    this.roomChannels = new RedisRoomChannels({ ...options, keys: this.#keys, shards: this.#shards })
    this.#nodeChannel = new RedisNodeChannel({
      keys: this.#keys,
      timeoutMs: options.timeoutMs,
      log: options.log,
      client: () => this.#shards.of(this.#keys.nodesChannel)?.client,
      refresh: () => this.#topology.refresh(),
    })
    this.#offline = new RedisPublisher({
      ...options,
      ...this.#ofAllPublishers(),
      redisClock: new RedisClock(),
      client: () => undefined,
      comesBack: () => false,
      onRefused: () => {},
    })
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  start(host: BridgeHost): void {
    this.#host = host
    this.#offline.start(this.#publisherHost(host))
    this.#nodeChannel.start(host)
    const { nodesChannel } = this.#keys
    for (const channel of [nodesChannel, this.#keys.nodeChannel(host.node), this.#keys.channel(undefined)])
      this.#shards.subscriptionsOf(channel).want(channel)
    this.#topology.start((masters) => {
      if (this.#shards.arrange(masters))
        this.#options.log.info({ masters: masters.length }, 'redis masters are known')
    })
  }

  async whenUp(ms: number): Promise<void> {
    const until = this.#options.clock.steadyMs() + ms
    while (!this.#isUp && this.#options.clock.steadyMs() < until) {
      await new Promise((resolve) => setTimeout(resolve, UP_CHECK_MS))
    }
  }

  publish(publication: Publication): Promise<Published> {
    const shard = this.#shards.of(this.#keys.channel(publication.room))
    return (shard?.publisher ?? this.#offline).publish(publication)
  }

  async subscribe(room: string): Promise<Scope> {
    const channel = this.#keys.channel(room)
    this.#rooms.set(channel, room)
    const subscriptions = this.#shards.subscriptionsOf(channel)
    subscriptions.want(channel)
    const isListening = this.#shards.of(channel)?.listens === true
    if (isListening && (await subscriptions.whenActive(channel, this.#options.timeoutMs))) return 'cluster'
    // It stays wanted, and is subscribed as soon as Redis lets it.
    this.#shards.subscriptionsOf(channel).missed(channel)
    return 'node'
  }

  unsubscribe(room: string): void {
    const channel = this.#keys.channel(room)
    this.#shards.subscriptionsOf(channel).release(channel, this.#options.clock.steadyMs())
  }

  async replay(room: string, request: ReplayRequest): Promise<Replay> {
    return this.#shards.of(this.#keys.channel(room))?.replay(room, request) ?? noReplay
  }

  tell(text: string, to?: string): Promise<Scope> {
    return this.#nodeChannel.tell(text, to)
  }

  others(): string[] {
    return this.#nodes.others(this.#host?.node ?? '')
  }

  keep(notes: readonly Note[]): Promise<Kept> {
    return this.#nodeChannel.notes.keep(notes)
  }

  readNotes(): Promise<NotesRead | undefined> {
    return this.#nodeChannel.notes.read()
  }

  status(): BridgeStatus {
    return statusOf(this.#shards.all(), {
      isUp: this.#isUp,
      isCluster: this.#options.target.kind === 'cluster',
      fault: this.#topology.fault,
    })
  }

  cluster(): ClusterStatus {
    return this.#nodes.count(this.#host?.node ?? '', this.#host?.countClients() ?? 0)
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
    this.#topology.close()
    await this.#shards.close()
  }

  get #isUp(): boolean {
    const shards = this.#shards.all()
    return shards.length > 0 && shards.every(({ isUp }) => isUp)
  }

  #ofAllPublishers() {
    return {
      keys: this.#keys,
      marks: this.#marks,
      figures: this.figures,
      nextSequence: () => ++this.#sequence,
      beginningsTag: (channel: string) => this.#shards.tagOf(channel),
    }
  }

  #publisherHost(host: BridgeHost): PublisherHost {
    return {
      node: host.node,
      get joins() {
        return host.joins
      },
      remember: (...early) => host.remember(...early),
      catchUp: (room) => host.catchUp(room),
      onceRested: (then) => host.onceRested(then),
      deliverEarly: ({ room, head, exclude }, position, mark) =>
        host.deliver(room, [{ text: messageText(head, undefined), exclude, position, mark, isEarly: true }]),
    }
  }

  #createShard(server: RedisServer, place: ShardPlace): RedisShard {
    const shard = new RedisShard(
      {
        ...this.#options,
        ...this.#ofAllPublishers(),
        server,
        isSharded: this.#options.target.kind === 'cluster',
        announcement: () => this.#nodes.announcement(this.#host?.node ?? '', this.#host?.countClients() ?? 0),
        onMessage: (channel, payload) => this.#garbage.noteUnless(this.#receive(shard, channel, payload)),
        onGapEnd: (channel) => void this.#endGap(channel),
        onGone: (channel) => this.#rooms.delete(channel),
        refresh: () => this.#topology.refresh(),
      },
      place,
    )
    if (this.#host !== undefined) shard.start(this.#publisherHost(this.#host))
    return shard
  }

  async #endGap(channel: string): Promise<void> {
    if (channel === this.#keys.nodesChannel) this.#host?.tells.missed()
    this.roomChannels.endGap(channel)
    const room = this.#rooms.get(channel)
    if (room === undefined) return
    const filled = await this.#host?.catchUp(room)
    // What the history does not have any more is not asked for again and again.
    if (filled === 'unread' && this.#rooms.has(channel)) this.#shards.of(channel)?.noteGap(channel)
  }

  /** False for what no node of this version has published. */
  #receive(shard: RedisShard, channel: string, bytes: Buffer): boolean {
    if (this.#nodeChannel.isFor(channel, bytes)) return this.#nodeChannel.receive(bytes)
    if (this.roomChannels.isFor(channel)) return this.roomChannels.receive(channel, bytes)
    if (channel === this.#keys.nodesChannel || channel === shard.place.beatChannel) {
      const node = this.#nodes.hear(bytes)
      if (node === undefined) return false
      const isOwn = node === this.#host?.node
      if (isOwn) shard.heardItself(channel)
      if (channel === this.#keys.nodesChannel) this.roomChannels.announced(node, isOwn)
      return true
    }
    const payload = readPayload(bytes, this.#options.maxMessageBytes + ENVELOPE_MAX_BYTES)
    if (payload === undefined) return false
    const { node } = payload
    const messages = this.#shards.hasRetired ? this.#withoutTwins(node, payload.messages) : payload.messages
    for (const { mark } of messages) if (mark !== undefined) this.#marks.isEverywhere(mark)
    if (node === this.#host?.node)
      for (const { publisher } of this.#shards.giversOf(channel, shard))
        for (const { sequence } of messages) publisher.comeBack(sequence)
    const room = this.#rooms.get(channel)
    if (messages.length > 0 && (room !== undefined || channel === this.#keys.channel(undefined)))
      this.#host?.deliver(room, messages)
    return true
  }

  #withoutTwins(node: string, messages: IncomingMessage[]): IncomingMessage[] {
    return messages.filter(({ sequence }) => {
      const name = `${node} ${sequence}`
      if (this.#twins.has(name)) return false
      this.#twins.add(name)
      return true
    })
  }

  #sweep(): void {
    this.#shards.sweep(this.#options.clock.steadyMs())
    this.#marks.sweep()
    this.#nodes.sweep()
    if (!this.#shards.hasRetired) this.#twins.clear()
    const { foreignNodes = 0 } = this.cluster()
    if (foreignNodes > this.#foreignNodes)
      this.#options.log.warn({ foreignNodes }, 'nodes of another version do not understand this one')
    this.#foreignNodes = foreignNodes
  }
}

function topologyOf(target: RedisTarget): RedisTopology {
  if (target.kind === 'cluster') return new ClusterTopology(target)
  return target.kind === 'sentinel' ? new SentinelTopology(target) : new FixedTopology(target)
}
