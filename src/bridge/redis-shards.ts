import calculateSlot from 'cluster-key-slot'
import type { RedisServer } from './redis-client.ts'
import { nameOf } from './redis-inquiry.ts'
import { NODES_TAG, type RedisKeys } from './redis-keys.ts'
import type { RedisShard, ShardPlace } from './redis-shard.ts'
import { RedisSubscriptions } from './redis-subscriptions.ts'
import { type Master, SLOTS, type SlotRange } from './redis-topology.ts'
import { tagOfSlot } from './slot-tags.ts'

export interface RedisShardsOptions {
  isCluster: boolean
  node(): string
  keys: RedisKeys
  create(server: RedisServer, place: ShardPlace): RedisShard
  /** The channel is no longer wanted. */
  onGone(channel: string): void
}

/** The masters that there are, and which of them has a channel. One Redis is a Cluster of one master with all slots. */
export class RedisShards {
  readonly #options: RedisShardsOptions
  /** By the server's name. */
  readonly #shards = new Map<string, RedisShard>()
  /** Those whose slots others have now, until they are closed. */
  readonly #retired = new Set<RedisShard>()
  /** By slot. */
  #owners: (RedisShard | undefined)[] = []
  /** What is wanted where no master is. */
  readonly #homeless: RedisSubscriptions
  #arrangement = ''

  constructor(options: RedisShardsOptions) {
    this.#options = options
    const nothing = () => {} // It has no connection that could tell or fail.
    const { onGone } = options
    this.#homeless = new RedisSubscriptions({
      onGone,
      onGapEnd: nothing,
      onElsewhere: nothing,
      onFailure: nothing,
    })
  }

  /** All that are in use. */
  all(): RedisShard[] {
    return [...this.#shards.values()]
  }

  get hasRetired(): boolean {
    return this.#retired.size > 0
  }

  /** The master that has the channel; undefined while none is known. */
  of(channel: string): RedisShard | undefined {
    return this.#owners[this.#slotOf(channel)]
  }

  /** Who may have been given what `teller` tells: a replica of the channel's new master tells what that one has taken. */
  giversOf(channel: string, teller: RedisShard): RedisShard[] {
    const owner = this.hasRetired ? this.of(channel) : undefined
    return owner === undefined || owner === teller ? [teller] : [teller, owner]
  }

  subscriptionsOf(channel: string): RedisSubscriptions {
    return this.of(channel)?.subscriptions ?? this.#homeless
  }

  /** A text that shares its slot with the channel. */
  tagOf(channel: string): string {
    return this.#options.isCluster ? tagOfSlot(this.#slotOf(channel)) : NODES_TAG
  }

  /** Takes in where the masters are now; returns whether that is new. */
  arrange(masters: readonly Master[]): boolean {
    for (const { server, isLeaving = false } of masters)
      this.#shards.get(nameOf(server))?.setLeaving(isLeaving)
    const arrangement = JSON.stringify(masters.map(({ server, slots }) => [nameOf(server), slots]))
    if (arrangement === this.#arrangement) {
      for (const shard of this.#shards.values()) shard.subscriptions.retry()
      return false
    }
    this.#arrangement = arrangement
    const owners: (RedisShard | undefined)[] = new Array(SLOTS)
    const present = new Set<string>()
    for (const { server, slots } of masters) {
      const name = nameOf(server)
      present.add(name)
      const place = this.#placeOf(slots)
      const known = this.#shards.get(name)
      known?.setPlace(place)
      const shard = known ?? this.#options.create(server, place)
      this.#shards.set(name, shard)
      for (const { first, last } of slots) owners.fill(shard, first, last + 1)
    }
    this.#owners = owners
    for (const shard of this.#shards.values()) this.#letGo(shard)
    for (const [name, shard] of this.#shards) if (!present.has(name)) this.#retire(name, shard)
    this.#moveChannels()
    return true
  }

  sweep(nowMs: number): void {
    void this.#homeless.sweep(nowMs)
    for (const { subscriptions } of this.#shards.values()) void subscriptions.sweep(nowMs)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#shards.values(), ...this.#retired].map((shard) => shard.close()))
  }

  #slotOf(channel: string): number {
    return this.#options.isCluster ? calculateSlot(channel) : 0
  }

  #placeOf(slots: readonly SlotRange[]): ShardPlace {
    const { isCluster, keys, node } = this.#options
    const nodes = { tag: NODES_TAG, beatChannel: keys.nodesChannel }
    if (!isCluster) return { slots: undefined, ...nodes }
    const texts = slots.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`))
    const slotOfNodes = calculateSlot(keys.nodesChannel)
    if (slots.some(({ first, last }) => first <= slotOfNodes && slotOfNodes <= last))
      return { slots: texts.join(), ...nodes }
    const tag = tagOfSlot(slots[0]?.first ?? 0)
    return { slots: texts.join(), tag, beatChannel: keys.echoChannel(node(), tag) }
  }

  #letGo(shard: RedisShard): void {
    const { keys } = this.#options
    shard.publisher.letGo((room) => this.of(keys.channel(room)) !== shard)
  }

  #retire(name: string, shard: RedisShard): void {
    this.#shards.delete(name)
    this.#retired.add(shard)
    void shard.retire().then(() => this.#retired.delete(shard))
  }

  #moveChannels(): void {
    const sources = [this.#homeless, ...[...this.#shards.values(), ...this.#retired].map(asSubscriptions)]
    for (const source of sources)
      for (const channel of [...source.channels()]) {
        const target = this.subscriptionsOf(channel)
        if (target !== source) source.move(channel, target)
      }
    for (const shard of this.#shards.values()) shard.subscriptions.retry()
  }
}

function asSubscriptions({ subscriptions }: RedisShard): RedisSubscriptions {
  return subscriptions
}
