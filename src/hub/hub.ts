import { randomBytes } from 'node:crypto'
import type { Bridge, BridgeStatus, Delivery, Published } from '../bridge/bridge.ts'
import { type From, messageHead } from '../protocol/codec.ts'
import { isRoomName } from '../protocol/envelope.ts'
import { type Cause, Client, type ClientContext, type Identity, type SlowPolicy } from './client.ts'
import { type Clock, systemClock } from './clock.ts'
import { textFrame } from './frame.ts'
import { Heartbeat, type HeartbeatTimes } from './heartbeat.ts'
import type { Log } from './log.ts'
import { Rooms } from './rooms.ts'
import type { Socket } from './socket.ts'
import { Turn } from './turn.ts'

/** The limits and times that the hub keeps; units are in the names, meanings in docs/SETTINGS.md. */
export interface HubLimits extends HeartbeatTimes {
  maxClients: number
  maxRoomsPerClient: number
  maxMessageBytes: number
  outboxMaxBytes: number
  slowClient: SlowPolicy
}

export interface HubOptions {
  bridge: Bridge
  limits: HubLimits
  log: Log
  clock?: Clock
}

/** A message to publish. `content` is valid JSON text, relayed as it stands. */
export interface HubMessage {
  room: string | undefined
  content: string
  from: From
  /** The client that must not get it. */
  exclude: string | undefined
}

/** What has happened since the start; counters only grow. */
export interface Counters {
  connects: number
  published: number
  /** Publishes that reached this node's members only. */
  nodeScoped: number
  drops: number
  slowDisconnects: number
  silentDisconnects: number
  rateLimited: number
}

/** This node's clients and the delivery to them. */
export class Hub implements ClientContext {
  /** The node's id: random, so that no two nodes can take each other for themselves. */
  readonly node = randomBytes(9).toString('base64url')
  readonly clock: Clock
  readonly turn = new Turn()
  readonly limits: HubLimits
  readonly rooms: Rooms
  readonly counters: Counters = {
    connects: 0,
    published: 0,
    nodeScoped: 0,
    drops: 0,
    slowDisconnects: 0,
    silentDisconnects: 0,
    rateLimited: 0,
  }
  readonly #startedAt: number
  readonly #bridge: Bridge
  readonly #log: Log
  readonly #heartbeat: Heartbeat
  /** Clients past their 101 that are not closing. */
  readonly #clients = new Map<string, Client>()
  /** Clients whose socket is still there although they have left the hub. */
  readonly #closing = new Set<Client>()
  /** Joins that wait for the bridge, by room: a room somebody waits for stays subscribed. */
  readonly #joining = new Map<string, number>()
  #publishing = 0
  #isDraining = false
  #wake: (() => void) | undefined

  constructor({ bridge, limits, log, clock = systemClock }: HubOptions) {
    this.#bridge = bridge
    this.#log = log
    this.clock = clock
    this.#startedAt = clock.steadyMs()
    this.limits = limits
    this.rooms = new Rooms((room) => {
      if (!this.#joining.has(room)) this.#bridge.unsubscribe(room)
    })
    this.#heartbeat = new Heartbeat(limits, clock)
    bridge.start((delivery) => this.deliver(delivery))
  }

  get outboxMaxBytes(): number {
    return this.limits.outboxMaxBytes
  }

  get slowClient(): SlowPolicy {
    return this.limits.slowClient
  }

  /** Clients past their 101 that are not closing. */
  get size(): number {
    return this.#clients.size
  }

  get isFull(): boolean {
    return this.#clients.size >= this.limits.maxClients
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  get uptimeMs(): number {
    return Math.round(this.clock.steadyMs() - this.#startedAt)
  }

  get bridgeStatus(): BridgeStatus {
    return this.#bridge.status()
  }

  clients(): IterableIterator<Client> {
    return this.#clients.values()
  }

  client(id: string): Client | undefined {
    return this.#clients.get(id)
  }

  /** Takes a socket in as a client and welcomes it. */
  connect(socket: Socket, identity: Identity): Client {
    const client = new Client(socket, identity, this)
    this.#clients.set(client.id, client)
    this.counters.connects++
    client.reply({
      type: 'welcome',
      client: client.id,
      user: client.user,
      node: this.node,
      ...(identity.expiresAt !== Infinity && { expiresAt: identity.expiresAt }),
      pingIntervalMs: this.limits.pingIntervalMs,
      maxMessageBytes: this.limits.maxMessageBytes,
    })
    this.#heartbeat.watch(client)
    this.#log.debug({ client: client.id, user: client.user }, 'client connected')
    return client
  }

  /** Resolves once messages published to the room on any node from then on will reach the client. */
  async join(client: Client, room: string): Promise<void> {
    this.#joining.set(room, (this.#joining.get(room) ?? 0) + 1)
    try {
      await this.#bridge.subscribe(room)
    } finally {
      const joining = (this.#joining.get(room) ?? 1) - 1
      if (joining === 0) this.#joining.delete(room)
      else this.#joining.set(room, joining)
      if (client.isOpen) this.rooms.join(client, room)
      else if (joining === 0 && !this.rooms.has(room)) this.#bridge.unsubscribe(room)
    }
  }

  leave(client: Client, room: string): void {
    this.rooms.leave(client, room)
  }

  /**
   * Publishes a value to a room, or to every client when `room` is undefined, of every node: for the app that hub is
   * part of. Throws TypeError for what is no room name or has no JSON form. Resolves when the bridge has taken it.
   */
  async publish(room: string | undefined, content: unknown, { user = 'server' } = {}): Promise<Published> {
    if (room !== undefined && !isRoomName(room)) throw new TypeError('not a room name')
    const text = JSON.stringify(content)
    if (text === undefined) throw new TypeError('the content has no JSON form')
    return this.publishText({ room, content: text, from: { client: this.node, user }, exclude: undefined })
  }

  /** Publishes content that is JSON text already. Resolves when the bridge has taken the message. */
  async publishText({ room, content, from, exclude }: HubMessage): Promise<Published> {
    this.#publishing++
    try {
      const head = messageHead(room, content, from, this.clock.wallMs())
      const published = await this.#bridge.publish({ room, head, exclude })
      this.counters.published++
      if (published.scope === 'node') this.counters.nodeScoped++
      return published
    } finally {
      this.#publishing--
      if (this.#publishing === 0) this.#wake?.()
    }
  }

  /** Delivers a message to the members on this node. The frame is made once for all of them. */
  deliver({ room, text, exclude }: Delivery): void {
    const members = room === undefined ? this.#clients.values() : this.rooms.members(room)
    const excluded = exclude === undefined ? undefined : this.#clients.get(exclude)
    const frame = textFrame(text)
    // A member may be ended while this runs, and so leave the set: a Set's iteration allows that.
    for (const member of members) {
      if (member !== excluded) member.send(frame, room)
    }
  }

  /**
   * Ends the node's clients, spread over `drainMs`, after what was accepted is delivered; who has not gone after
   * `graceMs` is destroyed. New clients must no longer come from the first moment on (`isDraining`).
   */
  async drain({ drainMs, graceMs }: { drainMs: number; graceMs: number }): Promise<void> {
    if (this.#isDraining) return
    this.#isDraining = true
    const endsAt = this.clock.steadyMs() + graceMs
    this.#log.info({ clients: this.size, graceMs }, 'draining')
    const leaving = [...this.#clients.values()]
    const startedAt = this.clock.steadyMs()
    for (const [index, client] of leaving.entries()) {
      const dueAt = startedAt + (Math.min(drainMs, graceMs) * index) / leaving.length
      while (dueAt > this.clock.steadyMs()) await this.#pause(dueAt)
      client.reply({ type: 'closing', reconnectInMs: reconnectInMs(leaving.length) })
      client.disconnect('goingAway', 'node shutting down')
    }
    while (this.#clients.size + this.#closing.size + this.#publishing > 0) {
      if (this.clock.steadyMs() >= endsAt) break
      await this.#pause(endsAt)
    }
    for (const client of [...this.#clients.values(), ...this.#closing]) client.destroy()
  }

  /** Stops the timers and the bridge; the hub is of no use afterwards. */
  async close(): Promise<void> {
    this.#isDraining = true
    this.#heartbeat.stop()
    for (const client of [...this.#clients.values(), ...this.#closing]) client.destroy()
    await this.#bridge.close()
  }

  onClosing(client: Client, cause: Cause): void {
    this.#clients.delete(client.id)
    this.#closing.add(client)
    this.#heartbeat.unwatch(client)
    this.rooms.leaveAll(client)
    if (cause === 'tooSlow') this.counters.slowDisconnects++
    if (cause === 'silent') this.counters.silentDisconnects++
    this.#log.debug({ client: client.id, user: client.user, cause }, 'client closing')
  }

  onClosed(client: Client): void {
    this.#closing.delete(client)
    if (this.#closing.size === 0) this.#wake?.()
  }

  onDropped(_client: Client): void {
    this.counters.drops++
  }

  /** Waits until `untilMs` of the steady clock, or until the last client or publish is done. */
  #pause(untilMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
      const timer = setTimeout(done, Math.max(0, untilMs - this.clock.steadyMs()))
      this.#wake = done
    })
  }
}

/** Spreads the reconnects of many clients over time: about a thousand a second, and some chance. */
function reconnectInMs(clients: number): number {
  return Math.round(500 + Math.random() * Math.max(500, clients))
}
