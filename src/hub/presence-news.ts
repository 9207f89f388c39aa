import type { PresentUser } from './present-user.ts'
import type { RoomWatch } from './room-watch.ts'

/** What a room's watch is to be told, of all users that nodes tell of: that which this node is to tell. */
export class PresenceNews {
  readonly #room: string
  readonly #node: string
  readonly #watch: RoomWatch
  readonly #changed = new Map<string, PresentUser>()
  /** Users that the watch knows of, whoever told it. */
  #known = 0

  constructor(room: string, node: string, watch: RoomWatch) {
    this.#room = room
    this.#node = node
    this.#watch = watch
  }

  /** Something is new of a user. */
  add(one: PresentUser): void {
    const before = this.#changed.get(one.user)
    // Gone, and here again, before it was told.
    if (before !== undefined) one.isKnown = before.isKnown
    this.#changed.set(one.user, one)
  }

  /** Tells what is new; `users` are all that there are. To be called once the other nodes' users are known. */
  tell(users: Iterable<PresentUser>): void {
    const before = this.#known
    const came: PresentUser[] = []
    const went: PresentUser[] = []
    for (const one of this.#changed.values()) {
      if (one.isThere !== one.isKnown) (one.isThere ? came : went).push(one)
      one.isKnown = one.isThere
    }
    this.#known += came.length - went.length
    const own = came.filter(({ isOnlyHere }) => isOnlyHere)
    if (before === 0 && own.length > 0 && own.length === came.length)
      this.#watch.occupied(this.#node, this.#room)
    for (const { user } of own) this.#watch.entered(this.#node, this.#room, user)
    const gone = went.length === 0 ? [] : this.#toTell(went, users)
    for (const { user } of gone) this.#watch.left(this.#node, this.#room, user)
    if (this.#known === 0 && gone.length > 0) this.#watch.vacated(this.#node, this.#room)
    for (const one of this.#changed.values()) one.wentFrom = undefined
    this.#changed.clear()
  }

  /** Those who were here last, and those whose node cannot tell, where no node with a lower id is in the room. */
  #toTell(went: readonly PresentUser[], users: Iterable<PresentUser>): PresentUser[] {
    const isOrphaned = went.some(({ wentFrom }) => wentFrom === 'a node that is gone')
    const isFirst = isOrphaned && [...users].every((one) => one.isAtNoneBelow(this.#node))
    return went.filter(({ wentFrom }) => wentFrom === 'here' || (isFirst && wentFrom !== undefined))
  }
}
