import type { RoomRule, RoomRules } from '../rules/room-rules.ts'
import type { Client } from './client.ts'
import type { HubMessage } from './hub-options.ts'
import type { Presences } from './presences.ts'
import { Room } from './room.ts'

/** The two-way index room ⇄ client of this node. A room vanishes with its last member, however that one went. */
export class Rooms {
  readonly #rooms = new Map<string, Room>()
  readonly #rules: RoomRules
  readonly #presences: Presences
  readonly #onEmpty: (room: Room) => void
  #occupied = 0

  /** `onEmpty` is called when nobody on this node is in the room any more, or on the way into it. */
  constructor(rules: RoomRules, presences: Presences, onEmpty: (room: Room) => void) {
    this.#rules = rules
    this.#presences = presences
    this.#onEmpty = onEmpty
  }

  /** Rooms with members. */
  get size(): number {
    return this.#occupied
  }

  get(name: string): Room | undefined {
    return this.#rooms.get(name)
  }

  /** Of rooms that somebody is in, or on the way into. */
  names(): Iterable<string> {
    return this.#rooms.keys()
  }

  /** What holds for a room, whether anybody here is in it or not. */
  ruleOf(name: string): RoomRule {
    return this.#rooms.get(name)?.rule ?? this.#rules.ruleOf(name)
  }

  /** A message's traceparent, where its room's members are to see it. */
  traceShown({ room, traceparent }: HubMessage): string | undefined {
    // Most have none, and no rule is looked up for them.
    return traceparent !== undefined && room !== undefined && this.ruleOf(room).trace
      ? traceparent
      : undefined
  }

  /** The members on this node; none for a room that nobody here is in. */
  members(name: string): ReadonlyMap<Client, number> {
    return this.#rooms.get(name)?.members ?? noMembers
  }

  /** The room, for somebody who is on the way into it. */
  open(name: string): Room {
    const known = this.#rooms.get(name)
    if (known !== undefined) return known
    const rule = this.#rules.ruleOf(name)
    const room = new Room(name, rule)
    if (rule.presence !== undefined) room.presence = this.#presences.open(name, rule.presence)
    this.#rooms.set(name, room)
    return room
  }

  /** Joining twice is joining once. */
  join(client: Client, room: Room, number: number): void {
    if (room.members.size === 0) this.#occupied++
    if (!room.members.has(client)) {
      room.members.set(client, number)
      room.presence?.enter(client)
    }
    client.rooms.add(room.name)
  }

  /** The client's join is over as well, if there is one. */
  leave(client: Client, name: string): void {
    const room = this.#rooms.get(name)
    client.rooms.delete(name)
    if (room === undefined) return
    room.endJoin(client)
    room.tell(client, true)
    if (room.members.delete(client)) {
      if (room.members.size === 0) this.#occupied--
      room.presence?.leave(client)
    }
    this.closeUnused(room)
  }

  closeUnused(room: Room): void {
    if (!room.isEmpty || this.#rooms.get(room.name) !== room) return
    clearTimeout(room.hold?.timer)
    room.hold = undefined
    this.#rooms.delete(room.name)
    this.#onEmpty(room)
  }
}

const noMembers: ReadonlyMap<Client, number> = new Map()
