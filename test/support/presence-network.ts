// Nodes with presence on a network that the test turns: time, delays, losses, outages and deaths are its own.
import { strict as assert } from 'node:assert'
import type { Clock, Timers } from '../../src/clock.ts'
import { Presences } from '../../src/hub/presences.ts'
import type { PresenceClient, RoomPresence } from '../../src/hub/room-presence.ts'
import { Gossip, type GossipWire } from '../../src/presence/gossip.ts'
import type { PresenceRule } from '../../src/rules/room-rules.ts'

interface Event {
  atMs: number
  run: () => void
}

/** Time that goes on only when the test says so. */
export class SimTime implements Clock, Timers {
  now = 0
  /** In the order of their times. */
  #events: Event[] = []

  steadyMs(): number {
    return this.now
  }

  wallMs(): number {
    return this.now
  }

  after(ms: number, run: () => void): () => void {
    const event = { atMs: this.now + ms, run }
    let at = this.#events.length
    while (at > 0 && (this.#events[at - 1] as Event).atMs > event.atMs) at--
    this.#events.splice(at, 0, event)
    return () => {
      const at = this.#events.indexOf(event)
      if (at >= 0) this.#events.splice(at, 1)
    }
  }

  /** Events that are still to come. */
  get waiting(): number {
    return this.#events.length
  }

  async pass(ms: number): Promise<void> {
    const until = this.now + ms
    await settle()
    for (let next = this.#events[0]; next !== undefined && next.atMs <= until; next = this.#events[0]) {
      this.#events.shift()
      this.now = Math.max(this.now, next.atMs)
      next.run()
      await settle()
    }
    this.now = until
  }
}

/** What promises lead to has happened. */
async function settle(): Promise<void> {
  for (let n = 0; n < 12; n++) await undefined
}

/** A member, and who is in the room by what it was told. */
export class SimClient implements PresenceClient {
  readonly user: string
  readonly node: SimNode
  readonly room: string
  info: string | undefined
  watches: boolean
  isMember = true
  envelopes = 0
  /** Undefined while only the number is known. */
  listed: Map<string, string | undefined> | undefined
  count: number | undefined
  /** Users who have left, as it was told. */
  readonly left: string[] = []

  constructor(node: SimNode, room: string, user: string, watches: boolean, info: string | undefined) {
    this.node = node
    this.room = room
    this.user = user
    this.watches = watches
    this.info = info
  }

  endIfExpired(): void {}

  notify(frame: Buffer): void {
    this.envelopes++
    this.apply(frame.toString('utf8', (frame[1] as number) < 126 ? 2 : 4))
  }

  apply(text: string): void {
    const { type, count, users, more, entered, left } = JSON.parse(text)
    this.count = count
    if (type === 'presence') {
      this.listed = more === true ? undefined : mapOf(users)
      if (!more) assert.equal(users.length, count, 'the list has as many as the count says')
      return
    }
    if (entered === undefined && left === undefined) {
      this.listed = undefined
      return
    }
    assert.ok(this.listed !== undefined, 'changes come only behind a list')
    for (const one of entered ?? []) {
      const info = JSON.stringify(one.info)
      const isNew = !this.listed.has(one.user) || this.listed.get(one.user) !== info
      assert.ok(isNew, `${one.user} does not enter twice`)
      this.listed.set(one.user, info)
    }
    for (const user of left ?? []) {
      assert.ok(this.listed.delete(user), `${user} leaves who is listed`)
      this.left.push(user)
    }
    assert.equal(this.listed.size, count, 'the count is that of the list')
  }
}

function mapOf(users: { user: string; info?: unknown }[]): Map<string, string | undefined> {
  const map = new Map(users.map(({ user, info }) => [user, JSON.stringify(info)]))
  assert.equal(map.size, users.length, 'no user is listed twice')
  return map
}

export class SimNode {
  readonly id: string
  readonly clients = new Set<SimClient>()
  readonly presences: Presences
  readonly gossip: Gossip
  isAlive = true
  /** Whether it reaches Redis. */
  isLinked = true
  /** Whether it hears, and cannot tell. */
  isMute = false
  /** So many of the messages to it are lost without a word. */
  loses = 0
  readonly listens = new Set<string>()

  constructor(id: string, network: SimNetwork) {
    this.id = id
    const { time } = network
    // A dead node's timers do nothing.
    const timers: Timers = { after: (ms, then) => time.after(ms, () => this.isAlive && then()) }
    this.gossip = new Gossip({ wire: network.wireOf(this), clock: time, timers })
    this.presences = new Presences({
      node: id,
      presence: this.gossip,
      clock: time,
      timers,
      isUsed: (room) => [...this.clients].some((client) => client.room === room),
    })
  }

  room(name: string, rule: PresenceRule): RoomPresence {
    return this.presences.open(name, rule)
  }
}

export function compare(one: string, other: string): number {
  return one < other ? -1 : 1
}

/** All nodes, and what lies between them. */
export class SimNetwork {
  readonly time = new SimTime()
  readonly nodes: SimNode[] = []
  readonly rule: PresenceRule
  isUp = true
  /** How long a message takes, drawn anew for each; unequal ones overtake each other. */
  delayMs: () => number = () => 1
  told = 0

  constructor(nodes: number, rule: PresenceRule) {
    this.rule = rule
    for (let n = 0; n < nodes; n++) this.addNode(`node-${n}`)
  }

  addNode(id: string): SimNode {
    const node = new SimNode(id, this)
    this.nodes.push(node)
    const beat = () => {
      if (!node.isAlive) return
      if (this.#reaches(node))
        for (const other of this.nodes) {
          if (!this.#reaches(other)) continue
          if (other === node) node.gossip.beat()
          else other.gossip.heardOf(node.id)
        }
      this.time.after(1000, beat)
    }
    this.time.after(0, beat)
    return node
  }

  wireOf(node: SimNode): GossipWire {
    return {
      listen: async (room) => {
        node.listens.add(room)
        if (this.#reaches(node)) await this.#delay()
        return this.#reaches(node)
      },
      ignore: (room) => node.listens.delete(room),
      tell: async (room, text) => {
        this.told++
        if (!this.#reaches(node) || node.isMute) throw new Error('not linked')
        const hearers = this.nodes.filter((other) => this.#reaches(other) && other.listens.has(room))
        for (const other of hearers) this.#send(other, room, text)
        await this.#delay()
        // Taken, and nobody knows.
        if (!this.#reaches(node)) throw new Error('lost')
        return hearers.length
      },
    }
  }

  /** The node hears and tells again, or no more. */
  link(node: SimNode, isLinked: boolean): void {
    node.isLinked = isLinked
    if (this.#reaches(node)) for (const room of node.listens) node.gossip.gap(room)
  }

  setUp(isUp: boolean): void {
    const wasUp = this.isUp
    this.isUp = isUp
    if (!wasUp && isUp)
      // Each comes back at another time.
      for (const node of this.nodes)
        this.time.after(this.delayMs() * 20, () => this.link(node, node.isLinked))
  }

  join(node: SimNode, room: string, user: string, watches: boolean, info?: string): SimClient | undefined {
    if (!node.isAlive) return undefined
    const client = new SimClient(node, room, user, watches, info)
    node.clients.add(client)
    const presence = node.room(room, this.rule)
    const enter = () => {
      if (!client.isMember) return
      presence.enter(client)
      presence.watch(client, client.watches)
    }
    if (watches && presence.ready !== undefined) void presence.ready.then(enter)
    else enter()
    return client
  }

  leave(client: SimClient): void {
    const { node, room } = client
    if (!client.isMember) return
    client.isMember = false
    node.clients.delete(client)
    if (!node.isAlive) return
    node.room(room, this.rule).leave(client)
    node.presences.closeUnused(room)
  }

  /** kill -9. */
  kill(node: SimNode): void {
    node.isAlive = false
    node.listens.clear()
    for (const client of node.clients) client.isMember = false
    node.clients.clear()
  }

  /** SIGTERM: its clients leave, and it says so. */
  end(node: SimNode): void {
    if (!node.isAlive) return
    for (const client of [...node.clients]) this.leave(client)
    void node.presences.stop()
    this.time.after(50, () => this.kill(node))
  }

  /** The users in a room, by its members on live nodes. */
  truth(room: string): string[] {
    const users = new Set<string>()
    for (const node of this.nodes)
      for (const client of node.clients) if (client.room === room) users.add(client.user)
    return [...users].toSorted(compare)
  }

  #reaches(node: SimNode): boolean {
    return this.isUp && node.isAlive && node.isLinked
  }

  #send(to: SimNode, room: string, text: string): void {
    this.time.after(this.delayMs(), () => {
      if (!this.#reaches(to) || !to.listens.has(room)) return
      if (to.loses > 0) to.loses--
      else assert.ok(to.gossip.hear(room, text), 'what nodes tell is understood')
    })
  }

  #delay(): Promise<void> {
    return new Promise((resolve) => this.time.after(this.delayMs(), resolve))
  }
}
