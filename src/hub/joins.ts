import type { Position, Scope } from '../protocol/envelope.ts'
import type { Client } from './client.ts'

/** How a join went. */
export interface JoinResult {
  scope: Scope
  position: Position | undefined
  /** Whether every message since the position asked for follows; they are `missed` in number. */
  recovered: boolean
  missed: number
}

/** A message that comes to a room; `isEarly` when messages before it may still come. */
export interface Live {
  frame: Buffer
  /** The client that must not get it. */
  excluded: Client | undefined
  position: Position | undefined
  isEarly: boolean
}

/**
 * One client's join. While it is under way, the room's live messages are held; they follow the history that the join
 * has asked for. Afterwards it may still guard against messages that are late: in that history, but not yet delivered.
 */
export class Join {
  readonly client: Client
  readonly #maxBytes: number
  #held: Live[] | undefined = []
  #heldBytes = 0
  #through: Position | undefined

  constructor(client: Client, maxBytes: number) {
    this.client = client
    this.#maxBytes = maxBytes
  }

  /** Whether more came than is held for one join; it then cannot be completed. */
  get isOverfull(): boolean {
    return this.#heldBytes > this.#maxBytes
  }

  /** Whether nothing is left to guard against. */
  get isOver(): boolean {
    return this.#held === undefined && this.#through === undefined
  }

  /** What the client got as history, while late messages of it may still come. */
  get through(): Position | undefined {
    return this.#through
  }

  /** Takes a live message; returns whether the client should have it now. */
  admits(live: Live): boolean {
    if (this.#held !== undefined) {
      this.#heldBytes += live.frame.length
      if (!this.isOverfull) this.#held.push(live)
      return false
    }
    const isLate = this.#isReplayed(live)
    if (!isLate && !live.isEarly) this.#through = undefined
    return !isLate
  }

  /**
   * The history up to `through` has been sent. Returns the held frames that come after it; from now on live messages
   * go to the client, late ones excepted. `delivered` is the newest message that this node has seen.
   */
  complete(through: Position | undefined, delivered: Position | undefined): Buffer[] {
    this.#through = through
    const held = this.#held ?? []
    this.#held = undefined
    const due = held.filter((live) => live.excluded !== this.client && !this.#isReplayed(live))
    const hasSeenAll =
      delivered?.epoch === through?.epoch && (delivered?.offset ?? 0) >= (through?.offset ?? 0)
    if (hasSeenAll || due.some(({ isEarly }) => !isEarly)) this.#through = undefined
    return due.map(({ frame }) => frame)
  }

  #isReplayed({ position }: Live): boolean {
    const through = this.#through
    return through !== undefined && position?.epoch === through.epoch && position.offset <= through.offset
  }
}

/** The joins of this node that are under way or still on guard, by room. Most rooms have none. */
export class Joins {
  readonly #byRoom = new Map<string, Map<Client, Join>>()

  begin(client: Client, room: string, maxBytes: number): Join {
    const join = new Join(client, maxBytes)
    const joins = this.#byRoom.get(room)
    if (joins === undefined) this.#byRoom.set(room, new Map([[client, join]]))
    else joins.set(client, join)
    return join
  }

  has(room: string): boolean {
    return this.#byRoom.has(room)
  }

  in(room: string): ReadonlyMap<Client, Join> | undefined {
    return this.#byRoom.get(room)
  }

  end(client: Client, room: string): void {
    const joins = this.#byRoom.get(room)
    joins?.delete(client)
    if (joins?.size === 0) this.#byRoom.delete(room)
  }
}
