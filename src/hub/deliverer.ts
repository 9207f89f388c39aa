import type { Delivery } from '../bridge/bridge.ts'
import type { Clock } from '../clock.ts'
import type { Client } from './client.ts'
import type { Counters } from './counters.ts'
import { textFrame } from './frame.ts'
import type { Join, Joins, Live } from './joins.ts'
import type { Room, Rooms } from './rooms.ts'

/** Hands what the bridge delivers to the members on this node. */
export class Deliverer {
  readonly #clients: ReadonlyMap<string, Client>
  readonly #rooms: Rooms
  readonly #joins: Joins
  readonly #counters: Counters
  readonly #clock: Clock

  constructor(
    clients: ReadonlyMap<string, Client>,
    rooms: Rooms,
    joins: Joins,
    counters: Counters,
    clock: Clock,
  ) {
    this.#clients = clients
    this.#rooms = rooms
    this.#joins = joins
    this.#counters = counters
    this.#clock = clock
  }

  /** Each frame is made once for all members; nobody is waited for. */
  deliver(name: string | undefined, deliveries: readonly Delivery[]): void {
    if (name === undefined) {
      this.#sendToAll(this.#clients.values(), this.#prepare(deliveries), undefined)
      return
    }
    const room = this.#rooms.get(name)
    const joins = this.#joins.in(name)
    if (room === undefined && joins === undefined) return
    const prepared = this.#prepare(deliveries)
    if (room !== undefined) for (const one of prepared) this.#note(room, one)
    if (joins !== undefined) for (const one of prepared) this.#deliverAmidJoins(name, joins, one)
    else if (room !== undefined) this.#sendToAll(room.members, prepared, name)
  }

  #prepare(deliveries: readonly Delivery[]): Live[] {
    return deliveries.map(({ text, exclude, position, isEarly = false }) => ({
      frame: textFrame(text),
      excluded: exclude === undefined ? undefined : this.#clients.get(exclude),
      position,
      isEarly,
    }))
  }

  /** The same with some members who wait for the answer to their join, or to whom this message may be old. */
  #deliverAmidJoins(name: string, joins: ReadonlyMap<Client, Join>, one: Live): void {
    const { frame, excluded } = one
    const nowMs = this.#clock.wallMs()
    for (const member of this.#rooms.members(name)) {
      member.endIfExpired(nowMs)
      if (member !== excluded && !joins.has(member)) member.send(frame, name)
    }
    for (const [client, join] of joins) {
      client.endIfExpired(nowMs)
      if (join.admits(one) && client !== excluded) client.send(frame, name)
      if (join.isOver) this.#joins.end(client, name)
    }
  }

  /** Keeps the room's newest position, and counts what never came: an outage's messages of other nodes. */
  #note(room: Room, { position, isEarly }: Live): void {
    if (position === undefined || isEarly) return
    const { delivered } = room
    if (delivered?.epoch === position.epoch && position.offset > delivered.offset + 1) {
      this.#counters.missed += position.offset - delivered.offset - 1
    }
    room.delivered = position
  }

  /** A member may be ended while this runs, and so leave the collection: iterating a Set or Map allows that. */
  #sendToAll(members: Iterable<Client>, prepared: readonly Live[], room: string | undefined): void {
    const nowMs = this.#clock.wallMs()
    for (const member of members) {
      member.endIfExpired(nowMs)
      for (const { frame, excluded } of prepared) {
        if (member !== excluded) member.send(frame, room)
      }
    }
  }
}
