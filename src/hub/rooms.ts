import type { Position } from '../protocol/envelope.ts'
import type { Client } from './client.ts'

/** A room on this node: it exists while it has a member here. */
export interface Room {
  readonly name: string
  readonly members: Set<Client>
  /** The room's position when its first member came in. */
  readonly openedAt: Position | undefined
  /** The newest message that was delivered here, where the room keeps history. */
  delivered: Position | undefined
}

/** The two-way index room ⇄ client of this node. A room vanishes with its last member, however that one went. */
export class Rooms {
  readonly #rooms = new Map<string, Room>()
  readonly #onEmpty: (room: string) => void

  /** `onEmpty` is called when a room has lost its last member on this node. */
  constructor(onEmpty: (room: string) => void) {
    this.#onEmpty = onEmpty
  }

  get size(): number {
    return this.#rooms.size
  }

  has(name: string): boolean {
    return this.#rooms.has(name)
  }

  get(name: string): Room | undefined {
    return this.#rooms.get(name)
  }

  /** The members on this node; none for a room that nobody here is in. */
  members(name: string): ReadonlySet<Client> {
    return this.#rooms.get(name)?.members ?? noMembers
  }

  /** Joining twice is joining once. `position` is the room's, as the client is told. */
  join(client: Client, name: string, position?: Position): void {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = { name, members: new Set(), openedAt: position, delivered: undefined }
      this.#rooms.set(name, room)
    }
    room.members.add(client)
    client.rooms.add(name)
  }

  /** Returns whether the client was a member. */
  leave(client: Client, name: string): boolean {
    if (!client.rooms.delete(name)) return false
    const room = this.#rooms.get(name)
    room?.members.delete(client)
    if (room?.members.size === 0) {
      this.#rooms.delete(name)
      this.#onEmpty(name)
    }
    return true
  }
}

const noMembers: ReadonlySet<Client> = new Set()
