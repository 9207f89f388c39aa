import { randomBytes } from 'node:crypto'
import type { Identity } from '../auth/permissions.ts'
import { noTokens, type Tokens } from '../auth/tokens.ts'
import type { Bridge, BridgeHost, BridgeStatus, ClusterStatus, Published, Replay } from '../bridge/bridge.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { Hooks } from '../hooks/hooks.ts'
import type { Log } from '../log.ts'
import { loggedText } from '../logged-text.ts'
import { messageHead, welcomeText } from '../protocol/codec.ts'
import type { Outbound, Position } from '../protocol/envelope.ts'
import { RoomRules } from '../rules/room-rules.ts'
import type { ContentOf } from '../rules/rules-input.ts'
import { Seldom } from '../seldom.ts'
import { AppMessages, type PublishOptions } from './app-messages.ts'
import { bridgeHostOf } from './bridge-host.ts'
import type { Cause } from './cause.ts'
import { Client, type ClientContext, type SlowPolicy } from './client.ts'
import { Control, type Controlled, type Whom } from './control.ts'
import { Counters } from './counters.ts'
import { Dispatch } from './dispatch.ts'
import { Heartbeat } from './heartbeat.ts'
import { HeldRequests } from './held-requests.ts'
import type { HubLimits, HubMessage, HubOptions } from './hub-options.ts'
import { Inquiries } from './inquiries.ts'
import type { JoinResult } from './join.ts'
import type { Wanted } from './membership.ts'
import { expiryOf } from './refresh.ts'
import type { Revoke } from './revoker.ts'
import { LeftRates } from './room-rates.ts'
import { tellOf } from './room-watch.ts'
import type { Rooms } from './rooms.ts'
import type { Socket } from './socket.ts'
import { Turn } from './turn.ts'

/** This node's clients and the delivery to them. */
export class Hub implements ClientContext {
  /** The node's id: random, so that no two nodes can take each other for themselves. */
  readonly node = randomBytes(9).toString('base64url')
  readonly clock: Clock
  readonly turn = new Turn()
  readonly limits: HubLimits
  readonly tokens: Tokens
  readonly rooms: Rooms
  readonly counters = new Counters()
  readonly leftRates = new LeftRates()
  readonly faults: Seldom
  readonly held = new HeldRequests()
  readonly hooks: Hooks | undefined
  /** What the bridge sees of this hub. */
  readonly bridgeHost: BridgeHost
  readonly control: Control
  readonly inquiries: Inquiries
  readonly appMessages = new AppMessages(this)
  readonly #startedAt: number
  readonly #bridge: Bridge
  readonly #log: Log
  readonly #heartbeat: Heartbeat
  readonly #watch: HubOptions['watch']
  /** By the steady clock; undefined while it takes clients. */
  drainsSinceMs: number | undefined
  /** Clients past their 101 that are not closing. */
  readonly #clients = new Map<string, Client>()
  /** Clients whose socket is still there although they have left the hub. */
  readonly #closing = new Set<Client>()
  readonly #dispatch: Dispatch
  readonly #welcome: string
  #publishing = 0
  #isClosed = false
  #wake: (() => void) | undefined

  constructor(options: HubOptions) {
    const { bridge, limits, rules = new RoomRules([], limits), log, clock = systemClock } = options
    this.hooks = options.hooks
    this.#watch = options.watch
    this.tokens = options.tokens ?? noTokens
    this.#bridge = bridge
    this.#log = log
    this.clock = clock
    this.faults = new Seldom(clock)
    this.#startedAt = clock.steadyMs()
    this.limits = limits
    const { node, counters } = this
    this.#dispatch = new Dispatch({ ...options, node, rules, clients: this.#clients, counters, clock })
    this.rooms = this.#dispatch.rooms
    const { membership } = this.#dispatch
    this.control = new Control({ bridge, clients: this.#clients, membership, clock, log, limits })
    this.inquiries = new Inquiries(this.control.questions, this)
    this.#heartbeat = new Heartbeat(limits, clock)
    const { pingIntervalMs, maxMessageBytes } = limits
    this.#welcome = JSON.stringify({ node: this.node, pingIntervalMs, maxMessageBytes })
    this.bridgeHost = bridgeHostOf(this, this.#dispatch)
    bridge.start(this.bridgeHost)
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
    return this.drainsSinceMs !== undefined
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  get uptimeMs(): number {
    return Math.round(this.clock.steadyMs() - this.#startedAt)
  }

  get cluster(): ClusterStatus | undefined {
    return this.#bridge.cluster()
  }

  get bridgeStatus(): BridgeStatus {
    return this.#bridge.status()
  }

  clients(): IterableIterator<Client> {
    return this.#clients.values()
  }

  /** The same, and those whose socket is still there although they have left. */
  everySocket(): Client[] {
    return [...this.#clients.values(), ...this.#closing]
  }

  client(id: string): Client | undefined {
    return this.#clients.get(id)
  }

  /** Takes a socket in as a client, which `create` makes, and welcomes it. */
  connect(socket: Socket, identity: Identity, create = createClient): Client {
    const client = create(socket, identity, this)
    this.#clients.set(client.id, client)
    this.counters.connects++
    client.reply(welcomeText(client, expiryOf(client, this.clock.wallMs()), this.#welcome))
    this.#heartbeat.watch(client)
    this.#log.debug({ client: client.id, user: loggedText(client.user) }, 'client connected')
    this.#watch?.connected(this.node, client)
    // It may have become so since the token was checked.
    if (this.isRevoked(identity)) client.disconnect('disconnected', 'revoked')
    return client
  }

  /** The client goes on with a new token of its user. */
  renew(client: Client, identity: Identity): void {
    client.identity = identity
    this.#heartbeat.expiryChanged(client)
  }

  /** Makes the client a member; see Membership. */
  join(
    client: Client,
    room: string,
    wanted: Wanted,
    answer: (joined: JoinResult) => Outbound,
    wantsPresence = false,
  ): boolean | Promise<boolean> {
    return this.#dispatch.membership.join(client, room, wanted, answer, wantsPresence)
  }

  /** Reads a room's history: `limit` messages after `since`, or else the newest; all that there are by default. */
  replay(room: string, since: Position | undefined, limit = Infinity): Replay | Promise<Replay> {
    const { history } = this.rooms.ruleOf(room)
    return this.#bridge.replay(room, { since, limit: Math.min(limit, history.size), history })
  }

  leave(client: Client, room: string): void {
    this.#dispatch.membership.leave(client, room)
  }

  /** Publishes a value to a room, for the app that this hub is part of; see AppMessages. */
  async publish<Room extends string>(
    room: Room,
    content: ContentOf<Room>,
    options: PublishOptions = {},
  ): Promise<Published> {
    if (room === undefined) throw new TypeError('not a room name')
    return this.appMessages.publish(room, content, options)
  }

  /** The same to every client of every node. */
  async broadcast(content: unknown, options: { user?: string } = {}): Promise<Published> {
    return this.appMessages.publish(undefined, content, options)
  }

  /** Ends a user's clients, or one client, on all nodes; see Control. */
  disconnect(whom: Whom, reason?: string): Promise<Controlled> {
    return this.control.disconnect(whom, reason)
  }

  /** Has a user's clients leave a room. */
  remove(target: { user: string; room: string }): Promise<Controlled> {
    return this.control.remove(target)
  }

  /** Revokes a user's tokens of before `issuedBefore` (now), or one by its `jti`; times are in ms since 1970. */
  revoke(target: Revoke): Promise<Controlled> {
    return this.control.revoke(target)
  }

  /** Whether such a token is revoked. */
  isRevoked(identity: Identity): boolean {
    return this.control.isRevoked(identity)
  }

  /** Publishes content that is JSON text already. Resolves when the bridge has taken the message. */
  publishText(message: HubMessage): Published | Promise<Published> {
    const { room, content, from, exclude, once, history } = message
    const head = messageHead(room, content, from, this.clock.wallMs(), this.rooms.traceShown(message))
    const published = this.#bridge.publish({ room, head, exclude, once, history })
    if (this.#watch !== undefined && room !== undefined && this.rooms.ruleOf(room).webhook)
      void tellOf(this.#watch, this.node, { room, content, from }, published)
    if (!(published instanceof Promise)) return this.counters.publish(published)
    if (exclude === undefined) this.#dispatch.echoes.want(from.client, head)
    this.#publishing++
    return published.then((published) => {
      this.#publishing--
      if (this.#publishing === 0) this.#wake?.()
      return this.counters.publish(published)
    })
  }

  arrive(): number {
    return this.#dispatch.early.arrive()
  }

  /** Lets no more clients in; true when that is new. */
  beginDraining(): boolean {
    if (this.isDraining) return false
    this.drainsSinceMs = this.clock.steadyMs()
    return true
  }

  /** Clients, closing ones included, and publishes that are not done. */
  get unfinished(): number {
    return this.#clients.size + this.#closing.size + this.#publishing
  }

  /** Calls `listener` once, when the last closing client or the last publish is done. */
  onceFinished(listener: () => void): void {
    this.#wake = listener
  }

  destroyClients(): void {
    for (const client of this.everySocket()) client.destroy()
  }

  /** Stops the timers and the bridge; the hub is of no use afterwards. */
  async close(): Promise<void> {
    this.beginDraining()
    this.#isClosed = true
    this.#heartbeat.stop()
    this.control.close()
    this.inquiries.close()
    this.destroyClients()
    await this.#dispatch.presences.stop()
    await this.#bridge.close()
  }

  onClosing(client: Client, cause: Cause): void {
    this.#clients.delete(client.id)
    this.#closing.add(client)
    client.roomRates?.end(this.clock.steadyMs())
    this.#heartbeat.unwatch(client)
    this.#dispatch.membership.leaveAll(client)
    this.counters.closes[cause]++
    this.#watch?.disconnected(this.node, client, cause)
    this.#log.debug({ client: client.id, user: loggedText(client.user), cause }, 'client closing')
  }

  onClosed(client: Client): void {
    this.#closing.delete(client)
    this.counters.leave(client)
    if (this.#closing.size === 0) this.#wake?.()
  }

  onDropped(_client: Client): void {
    this.counters.drops++
  }
}

const createClient = (...parts: ConstructorParameters<typeof Client>) => new Client(...parts)
