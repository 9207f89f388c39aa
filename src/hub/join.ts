import type { Position, Scope } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import { digestOf } from './early-memory.ts'
import { headOf, type Live, withoutOffset } from './live.ts'
import type { Room } from './room.ts'

/** How a join went. */
export interface JoinResult {
  scope: Scope
  position: Position | undefined
  /** Whether every message since the position asked for follows; they are `missed` in number. */
  recovered: boolean
  missed: number
}

/**
 * One client's join. While it is under way, the room's messages are held; they follow the history that the join has
 * asked for. Afterwards it may still guard against messages that are late: in that history, but not yet delivered.
 */
export class Join {
  readonly client: Client
  /** The number of the membership (EarlyMemory). */
  readonly number: number
  /** Up to where the client, a member already, had the room's messages when this join began. */
  readonly from: Position | undefined
  readonly #maxBytes: number
  #held: Live[] | undefined = []
  #heldBytes = 0
  /** Up to where late messages are passed over, by epoch: this join's history, and that of those before it. */
  #through: Map<string, number> | undefined
  /** The messages that the join has brought, until nothing waits any more that may be one of them. */
  #brought: readonly Live[] = []
  #broughtKeys: Set<string> | undefined

  constructor(
    client: Client,
    number: number,
    maxBytes: number,
    before: Join | undefined,
    from: Position | undefined,
  ) {
    this.client = client
    if (before !== undefined) {
      this.#through = before.#through
      this.#brought = before.#brought
    }
    this.number = number
    this.from = from
    this.#maxBytes = maxBytes
  }

  get isHolding(): boolean {
    return this.#held !== undefined
  }

  /** Whether more came than is held for one join; it then cannot be completed. */
  get isOverfull(): boolean {
    return this.#heldBytes > this.#maxBytes
  }

  /** Whether nothing is left to guard against. */
  get isOver(): boolean {
    return this.#held === undefined && this.#through === undefined && this.#brought.length === 0
  }

  /** The offset in that epoch up to which the client got history, while late messages of it may still come. */
  through(epoch: string): number {
    return this.#through?.get(epoch) ?? 0
  }

  /** Something that could not be held has passed. */
  overfill(): void {
    this.#heldBytes = Infinity
  }

  /** Whether what follows `position` is held, where the room's members have something behind it. */
  holdsFrom({ epoch, offset }: Position): boolean {
    return (this.#held ?? []).some(
      ({ position }) => position?.epoch === epoch && position.offset === offset + 1,
    )
  }

  /** Takes a message; returns whether the client should have it now. */
  admits(live: Live): boolean {
    if (this.#held !== undefined) {
      this.#heldBytes += live.frame.length
      if (!this.isOverfull) this.#held.push(live)
      return false
    }
    if (this.#isReplayed(live) || this.#isBrought(live)) return false
    // What comes in its place has all others before it; what is not kept has no place.
    if (live.kind === 'live' && live.position !== undefined) this.#through = undefined
    return true
  }

  /**
   * The history up to `told` has been sent, and `brought` was in it. Returns the held messages that come after it; from
   * now on messages go to the client, late ones excepted. The room's cursor is what its members have.
   */
  complete(told: Position | undefined, { cursor, isBlind }: Room, brought: readonly Live[]): Live[] {
    const held = this.#held ?? []
    this.#held = undefined
    this.#brought = [...this.#brought, ...brought]
    this.#broughtKeys = undefined
    // Most joins have nothing to guard against.
    if (told !== undefined && (held.length > 0 || isBlind || !isReached(told, cursor)))
      this.#through = new Map(this.#through).set(told.epoch, told.offset)
    const due = held
      .filter((live) => live.excluded !== this.client && !this.#isReplayed(live) && !this.#isBrought(live))
      // The room's epoch is what the client is told of: in `joined`, or else with the first of these.
      .map((live) => (live.position?.epoch === cursor?.epoch ? live : withoutOffset(live)))
    if (cursor !== undefined && !isBlind && this.through(cursor.epoch) <= cursor.offset) {
      this.#through?.delete(cursor.epoch)
      if (this.#through?.size === 0) this.#through = undefined
    }
    return due
  }

  /** What came during the join has all been seen to. */
  settle(): void {
    this.#brought = []
    this.#broughtKeys = undefined
  }

  #isReplayed({ position }: Live): boolean {
    return position !== undefined && position.offset <= this.through(position.epoch)
  }

  /** An early message may have been in the history, with its offset. */
  #isBrought(live: Live): boolean {
    if (live.kind !== 'early' || this.#brought.length === 0) return false
    this.#broughtKeys ??= new Set(this.#brought.map((one) => digestOf(headOf(one))))
    return this.#broughtKeys.has(digestOf(headOf(live)))
  }
}

function isReached(position: Position, cursor: Position | undefined): boolean {
  return cursor?.epoch === position.epoch && cursor.offset >= position.offset
}
