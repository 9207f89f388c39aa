import type { Delivery } from '../bridge/bridge.ts'
import type { Position } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import type { Counters } from './counters.ts'
import { textFrame } from './frame.ts'
import type { Join, Joins } from './joins.ts'
import type { Room, Rooms } from './rooms.ts'

/** Hands what the bridge delivers to the members on this node. */
export class Deliverer {
  readonly #clients: ReadonlyMap<string, Client>
  readonly #rooms: Rooms
  readonly #joins: Joins
  readonly #counters: Counters

  constructor(clients: ReadonlyMap<string, Client>, rooms: Rooms, joins: Joins, counters: Counters) {
    this.#clients = clients
    this.#rooms = rooms
    this.#joins = joins
    this.#counters = counters
  }

  /** The frame is made once for all members; nobody is waited for. */
  deliver({ room: name, text, exclude, position }: Delivery): void {
    const excluded = exclude === undefined ? undefined : this.#clients.get(exclude)
    if (name === undefined) {
      sendToAll(this.#clients.values(), textFrame(text), excluded, undefined)
      return
    }
    const room = this.#rooms.get(name)
    const joins = this.#joins.in(name)
    if (room === undefined && joins === undefined) return
    const frame = textFrame(text)
    if (room !== undefined && position !== undefined) this.#note(room, position)
    if (joins !== undefined) this.#deliverAmidJoins(name, joins, { frame, excluded, position })
    else if (room !== undefined) sendToAll(room.members, frame, excluded, name)
  }

  /** The same with some members who wait for the answer to their join, or to whom this message may be old. */
  #deliverAmidJoins(
    name: string,
    joins: ReadonlyMap<Client, Join>,
    {
      frame,
      excluded,
      position,
    }: { frame: Buffer; excluded: Client | undefined; position: Position | undefined },
  ): void {
    for (const member of this.#rooms.members(name)) {
      if (member !== excluded && !joins.has(member)) member.send(frame, name)
    }
    for (const [client, join] of joins) {
      if (join.admits(frame, excluded, position) && client !== excluded) client.send(frame, name)
      if (join.isOver) this.#joins.end(client, name)
    }
  }

  /** Keeps the room's newest position, and counts what never came: an outage's messages of other nodes. */
  #note(room: Room, position: Position): void {
    const { delivered } = room
    if (delivered?.epoch === position.epoch && position.offset > delivered.offset + 1) {
      this.#counters.missed += position.offset - delivered.offset - 1
    }
    room.delivered = position
  }
}

/** A member may be ended while this runs, and so leave the collection: iterating a Set or Map allows that. */
function sendToAll(
  members: Iterable<Client>,
  frame: Buffer,
  excluded: Client | undefined,
  room: string | undefined,
): void {
  for (const member of members) {
    if (member !== excluded) member.send(frame, room)
  }
}
