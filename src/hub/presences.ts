import type { Clock, Timers } from '../clock.ts'
import type { Presence, PresenceHost, Present } from '../presence/presence.ts'
import type { PresenceRule } from '../rules/room-rules.ts'
import { RoomPresence } from './room-presence.ts'
import type { RoomWatch } from './room-watch.ts'

export interface PresencesOptions {
  node: string
  presence: Presence
  clock: Clock
  timers: Timers
  /** Whether somebody on this node is in the room, or on the way into it. */
  isUsed(room: string): boolean
  /** Undefined when nobody is to be told who enters and leaves. */
  watch?: RoomWatch | undefined
}

/** Who is in the rooms whose rule has presence. A room is here while this node has members, or users that may come back. */
export class Presences implements PresenceHost {
  readonly node: string
  readonly #options: PresencesOptions
  readonly #rooms = new Map<string, RoomPresence>()

  constructor(options: PresencesOptions) {
    this.node = options.node
    this.#options = options
    options.presence.start(this)
  }

  /** For somebody who is on the way into the room. */
  open(name: string, rule: PresenceRule): RoomPresence {
    const known = this.#rooms.get(name)
    if (known !== undefined) return known
    const room = new RoomPresence(name, {
      ...this.#options,
      watch: this.#options.watch,
      rule,
      onEmpty: ({ name }) => this.closeUnused(name),
    })
    this.#rooms.set(name, room)
    return room
  }

  /** To be called when nobody here is in the room any more: it goes with its last user. */
  closeUnused(name: string): void {
    const room = this.#rooms.get(name)
    if (room === undefined || !room.isEmpty || this.#options.isUsed(name)) return
    room.end()
    this.#rooms.delete(name)
    this.#options.presence.close(name)
  }

  /** Resolves when the other nodes know that this one ends. */
  async stop(): Promise<void> {
    await this.#options.presence.stop()
    for (const room of this.#rooms.values()) room.end()
    this.#rooms.clear()
  }

  present(room: string): Iterable<Present> {
    return this.#rooms.get(room)?.present() ?? []
  }

  hear(room: string, node: string, changes: readonly Present[]): void {
    this.#rooms.get(room)?.hear(node, changes)
  }

  hearAll(room: string, node: string, users: readonly Present[], isGone = false): void {
    this.#rooms.get(room)?.hearAll(node, users, isGone)
  }
}
