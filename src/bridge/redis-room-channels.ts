import type { Clock } from '../clock.ts'
import type { RedisKeys } from './redis-keys.ts'
import type { RedisShards } from './redis-shards.ts'

/** A join may wait for it. */
const LISTEN_MS = 1000

/** Who tells, and is told, on the rooms' second channels. */
export interface RoomChannelsUser {
  /** False for what no node of this version has told. */
  hear(room: string, bytes: Buffer): boolean
  /** From now on the room's channel is heard; something may have been missed before. */
  gap(room: string): void
  /** This node has heard its own announcement. */
  beat(): void
  /** Another node has announced itself. */
  heardOf(node: string): void
}

export interface RoomChannelsOptions {
  shards: RedisShards
  keys: RedisKeys
  clock: Clock
}

/** A second channel for each room, in the same slot, for what nodes tell each other of it. Nothing of it is stored. */
export class RedisRoomChannels {
  readonly #options: RoomChannelsOptions
  /** Rooms by channel. */
  readonly #rooms = new Map<string, string>()
  #user: RoomChannelsUser | undefined

  constructor(options: RoomChannelsOptions) {
    this.#options = options
  }

  use(user: RoomChannelsUser): void {
    this.#user = user
  }

  /** Resolves with whether what is told from now on is heard; else `gap` is called when it is. Never rejects. */
  async listen(room: string): Promise<boolean> {
    const { shards, keys } = this.#options
    const channel = keys.presenceChannel(room)
    this.#rooms.set(channel, room)
    const subscriptions = shards.subscriptionsOf(channel)
    subscriptions.want(channel)
    const isListening = shards.of(channel)?.listens === true
    if (isListening && (await subscriptions.whenActive(channel, LISTEN_MS))) return true
    shards.subscriptionsOf(channel).missed(channel)
    return false
  }

  ignore(room: string): void {
    const { shards, keys, clock } = this.#options
    const channel = keys.presenceChannel(room)
    this.#rooms.delete(channel)
    shards.subscriptionsOf(channel).release(channel, clock.steadyMs())
  }

  /** Resolves with how many nodes hear it. Rejects when it has not been told, as far as is known. */
  async tell(room: string, text: string): Promise<number> {
    const channel = this.#options.keys.presenceChannel(room)
    const client = this.#options.shards.of(channel)?.client
    if (client === undefined) throw new Error('its master is away')
    return Number(await client.call(client.publishCommand, channel, text))
  }

  isFor(channel: string): boolean {
    return this.#options.keys.isPresence(channel)
  }

  /** False for what no node of this version has told. */
  receive(channel: string, bytes: Buffer): boolean {
    const room = this.#rooms.get(channel)
    return room === undefined || (this.#user?.hear(room, bytes) ?? true)
  }

  endGap(channel: string): void {
    const room = this.#rooms.get(channel)
    if (room !== undefined) this.#user?.gap(room)
  }

  /** A node has announced itself to all. */
  announced(node: string, isOwn: boolean): void {
    if (isOwn) this.#user?.beat()
    else this.#user?.heardOf(node)
  }
}
