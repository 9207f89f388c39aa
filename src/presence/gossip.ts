import type { Clock, Timers } from '../clock.ts'
import type { PresenceRule } from '../rules/room-rules.ts'
import { decodeGossip, encodeGossip, type GossipMessage, listOf, partsOf, usersOf } from './gossip-message.ts'
import { GossipRoom, type Peer } from './gossip-room.ts'
import { NodeWatch, SILENT_BEATS } from './node-watch.ts'
import type { Presence, PresenceHost, Present } from './presence.ts'

/** A room opens without the answers that have not come by then. */
const ANSWERS_MS = 1000
/** Who is asked by many answers all of them at once, and this long after the last time. */
const ANSWER_REST_MS = 100
/** What could not be told, and who has not answered, is tried again. */
const RETRY_MS = 1000
/** A node that cannot say that it has closed a room is dead to the others by then. */
const BYES = 20
/** The end of a node waits so long for Redis. */
const STOP_MS = 500
/** What has been told of a room and is not taken yet, in messages; beyond it all is told anew later. */
const FLIGHTS = 8
/** A channel a room, on which every node that listens hears what each tells, also itself; in order, unless something is lost. */
export interface GossipWire {
  /** Resolves with whether what is told from now on is heard here; else `gap` is called when it is. Never rejects. */
  listen(room: string): Promise<boolean>
  ignore(room: string): void
  /** Resolves with how many nodes hear it, this one included. Rejects when it has not been told, as far as is known. */
  tell(room: string, text: string): Promise<number>
}

export interface GossipOptions {
  wire: GossipWire
  clock: Clock
  timers: Timers
}

/**
 * Presence over a channel that may be deaf and may lose things. What a node says of its users is always how it is, not
 * what has happened, and is numbered: who sees a gap, or may have missed something, asks, and is told all.
 */
export class Gossip implements Presence {
  readonly #options: GossipOptions
  readonly #rooms = new Map<string, GossipRoom>()
  /** Rooms with a peer that owes an answer. */
  readonly #doubtful = new Set<GossipRoom>()
  readonly #nodes: NodeWatch
  #host: PresenceHost | undefined
  #lives = 0
  #lists = 0

  constructor(options: GossipOptions) {
    this.#options = options
    this.#nodes = new NodeWatch(options.clock)
  }

  start(host: PresenceHost): void {
    this.#host = host
  }

  async open(name: string, rule: PresenceRule): Promise<void> {
    const room = new GossipRoom(name, rule, ++this.#lives)
    this.#rooms.set(name, room)
    const isHeard = await this.#options.wire.listen(name)
    if (!isHeard || this.#rooms.get(name) !== room) return
    await this.#askAll(room)
  }

  announce(name: string, changes: readonly Present[]): void {
    const room = this.#rooms.get(name)
    // All will be told anyway.
    if (room === undefined || room.isUntold) return
    const isLate = room.flights >= FLIGHTS
    for (const part of partsOf(changes)) {
      room.seq++
      if (!isLate) void this.#tell(room, { kind: 'some', seq: room.seq, users: listOf(part) })
    }
    if (isLate) this.#noteUntold(room)
  }

  close(name: string): void {
    const room = this.#rooms.get(name)
    if (room === undefined) return
    this.#forget(room)
    void this.#sayBye(room)
    this.#options.wire.ignore(name)
  }

  async stop(): Promise<void> {
    const rooms = [...this.#rooms.values()]
    for (const room of rooms) this.#forget(room)
    const told = Promise.all(rooms.map((room) => this.#tell(room, { kind: 'bye', ends: true })))
    await new Promise<void>((resolve) => {
      const cancel = this.#options.timers.after(STOP_MS, resolve)
      void told.then(() => {
        cancel()
        resolve()
      })
    })
  }

  /** This node has heard itself, as it does each second while it hears the others. */
  beat(): void {
    const { wasDeaf, dead } = this.#nodes.beat()
    const { beats } = this.#nodes
    for (const node of dead) for (const room of this.#rooms.values()) this.#drop(room, node)
    for (const room of [...this.#doubtful])
      for (const [node, peer] of [...room.peers]) {
        if (peer.doubtedAt === undefined) continue
        if (wasDeaf) peer.doubtedAt = beats
        else if (beats - peer.doubtedAt >= SILENT_BEATS) this.#drop(room, node)
      }
  }

  /** Another node lives. */
  heardOf(node: string): void {
    if (!this.#nodes.hear(node)) return
    // Its users were dropped, and it need not know.
    for (const room of this.#rooms.values()) void this.#tell(room, { kind: 'ask', of: node })
  }

  /** Something was told in a room; false for what no node of this version has told. */
  hear(name: string, text: Buffer | string): boolean {
    const message = decodeGossip(text)
    if (message === undefined) return false
    if (message.node === this.#host?.node) return true
    this.heardOf(message.node)
    const room = this.#rooms.get(name)
    if (room === undefined) return true
    if (message.kind === 'some') this.#takeSome(room, message)
    else if (message.kind === 'all') this.#takeAll(room, message)
    else if (message.kind === 'bye') this.#takeBye(room, message)
    else if (message.of === undefined || message.of === this.#host?.node) this.#answer(room)
    return true
  }

  /** What was told in a room may have passed this node by; from now on it is heard. */
  gap(name: string): void {
    const room = this.#rooms.get(name)
    if (room === undefined) return
    for (const peer of room.peers.values()) this.#doubt(room, peer)
    void this.#askAll(room)
  }

  /** Others keep its users until they hear it: said again, unless the room is open again, which says it too. */
  async #sayBye(room: GossipRoom, triesLeft = BYES): Promise<void> {
    const hear = await this.#tell(room, { kind: 'bye' })
    if (hear !== undefined || triesLeft === 1 || this.#rooms.has(room.name)) return
    this.#options.timers.after(RETRY_MS, () => {
      if (!this.#rooms.has(room.name)) void this.#sayBye(room, triesLeft - 1)
    })
  }

  /** Resolves when all that are asked have answered, or after a while. */
  async #askAll(room: GossipRoom): Promise<void> {
    const asking = room.beginAsking()
    const hear = await this.#tellAll(room, true)
    if (hear === undefined) return
    await asking.answeredBy(hear - 1, (then) => this.#options.timers.after(ANSWERS_MS, then))
  }

  /** Tells all users of this node; resolves with who hears it, undefined when that is to be done again. */
  async #tellAll(room: GossipRoom, asks: boolean): Promise<number | undefined> {
    const { seq } = room
    const parts = partsOf(this.#host?.present(room.name) ?? [])
    room.isUntold = false
    const list = ++this.#lists
    const told = parts.map((part, index) => {
      const isLast = index === parts.length - 1
      const place = { seq, list, index, parts: parts.length }
      return this.#tell(room, {
        kind: 'all',
        ...place,
        users: listOf(part),
        ...(asks && isLast && { asks }),
      })
    })
    return (await Promise.all(told)).at(-1)
  }

  /** Resolves with who hears it; with undefined when that is not known, and then all will be told. Never rejects. */
  async #tell(room: GossipRoom, message: Untold): Promise<number | undefined> {
    room.flights++
    try {
      const text = encodeGossip({ node: this.#host?.node ?? '', life: room.life, ...message })
      return await this.#options.wire.tell(room.name, text)
    } catch {
      // Why is found, and said, by the links' own probes.
      this.#noteUntold(room)
      return undefined
    } finally {
      room.flights--
    }
  }

  #noteUntold(room: GossipRoom): void {
    room.isUntold = true
    this.#retryLater(room)
  }

  #retryLater(room: GossipRoom): void {
    if (this.#rooms.get(room.name) !== room) return
    room.cancelRetry ??= this.#options.timers.after(RETRY_MS, () => {
      room.cancelRetry = undefined
      if (room.isUntold) void this.#tellAll(room, false)
      let isDoubtful = false
      for (const [node, peer] of room.peers) {
        if (peer.doubtedAt === undefined) continue
        isDoubtful = true
        void this.#tell(room, { kind: 'ask', of: node })
      }
      if (isDoubtful) this.#retryLater(room)
    })
  }

  #answer(room: GossipRoom): void {
    if (room.cancelAnswer !== undefined) return
    const now = this.#options.clock.steadyMs()
    const answer = () => {
      room.cancelAnswer = undefined
      room.answeredAtMs = this.#options.clock.steadyMs()
      void this.#tellAll(room, false)
    }
    const restMs = room.answeredAtMs + ANSWER_REST_MS - now
    if (restMs <= 0) answer()
    else room.cancelAnswer = this.#options.timers.after(restMs, answer)
  }

  #takeSome(room: GossipRoom, { node, life, seq, users }: GossipMessage & { kind: 'some' }): void {
    const peer = room.peerOf(node)
    if (peer === undefined || !peer.sees(life, seq)) return
    if (life === peer.life && seq === peer.seq + 1) {
      peer.seq = seq
      this.#host?.hear(room.name, node, usersOf(users))
    }
    if (!peer.isBehind || peer.doubtedAt !== undefined) return
    this.#doubt(room, peer)
    void this.#tell(room, { kind: 'ask', of: node })
  }

  #takeAll(room: GossipRoom, message: GossipMessage & { kind: 'all' }): void {
    const { node, life, seq, asks } = message
    const peer = room.peerOf(node)
    if (peer?.sees(life, seq)) {
      const users = peer.collect(message)
      if (users !== undefined) {
        peer.life = life
        peer.seq = seq
        peer.list = message.list
        this.#host?.hearAll(room.name, node, usersOf(users))
        if (!peer.isBehind) this.#trust(room, peer)
        room.asking?.hasAnswered(node)
      }
      // One whose list is never whole is forgotten in the end.
      if (peer.isBehind && peer.doubtedAt === undefined) this.#doubt(room, peer)
    }
    if (asks === true) this.#answer(room)
  }

  #takeBye(room: GossipRoom, { node, life, ends }: GossipMessage & { kind: 'bye' }): void {
    const peer = room.peers.get(node)
    if (peer === undefined || life < peer.life) return
    if (ends !== true) this.#drop(room, node, false)
    else
      this.#options.timers.after(room.rule.lingerMs, () => {
        if (room.peers.get(node) === peer) this.#drop(room, node)
      })
  }

  /** The peer may have told what was not heard: it owes all of it, or else it is forgotten. */
  #doubt(room: GossipRoom, peer: Peer): void {
    peer.doubtedAt = this.#nodes.beats
    this.#doubtful.add(room)
    this.#retryLater(room)
  }

  #trust(room: GossipRoom, peer: Peer): void {
    if (peer.doubtedAt === undefined) return
    peer.doubtedAt = undefined
    this.#endDoubt(room)
  }

  #endDoubt(room: GossipRoom): void {
    if (![...room.peers.values()].some(({ doubtedAt }) => doubtedAt !== undefined))
      this.#doubtful.delete(room)
  }

  #drop(room: GossipRoom, node: string, isGone = true): void {
    if (!room.peers.delete(node)) return
    this.#endDoubt(room)
    if (this.#rooms.get(room.name) === room) this.#host?.hearAll(room.name, node, [], isGone)
  }

  #forget(room: GossipRoom): void {
    this.#rooms.delete(room.name)
    this.#doubtful.delete(room)
    room.end()
  }
}

type Unaddressed<Message> = Message extends GossipMessage ? Omit<Message, 'v' | 'node' | 'life'> : never
type Untold = Unaddressed<GossipMessage>
