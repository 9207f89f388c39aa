import { type Bridge, noReplay, type Replay } from '../bridge/bridge.ts'
import type { Outbound, Position, Scope } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import type { JoinResult, Joins } from './joins.ts'
import { Rooms } from './rooms.ts'

/** What of the hub's limits a join is held to. */
export interface JoinLimits {
  historySize: number
  outboxMaxBytes: number
}

/** What a join finds: how far the subscription reaches, and what the room has kept. */
interface Entry {
  scope: Scope
  replay: Replay
}

type Answer = (joined: JoinResult) => Outbound

/** Who is in which room, and on the way into it; a room is subscribed while there is either. */
export class Membership {
  readonly rooms: Rooms
  readonly #bridge: Bridge
  readonly #joins: Joins
  readonly #limits: JoinLimits

  constructor(bridge: Bridge, joins: Joins, limits: JoinLimits) {
    this.#bridge = bridge
    this.#joins = joins
    this.#limits = limits
    this.rooms = new Rooms((room) => this.#unsubscribeUnused(room))
  }

  /**
   * Makes the client a member: `answer` makes its `joined`, which goes out ahead of the messages missed since `since`
   * and of the live ones. False, and no answer, when the join cannot be completed now. Nothing is waited for where the
   * bridge answers at once.
   */
  join(
    client: Client,
    room: string,
    since: Position | undefined,
    answer: Answer,
  ): boolean | Promise<boolean> {
    const entry = this.#enter(room, since)
    if (!(entry instanceof Promise)) {
      this.#admit(client, room, since, entry, answer)
      return true
    }
    if (since === undefined && this.#positionOf(client, room) !== undefined) {
      return entry.then((entry) => {
        if (client.isOpen) this.#admitAgain(client, room, entry, answer)
        return true
      })
    }
    const join = this.#joins.begin(client, room, this.#limits.outboxMaxBytes)
    return entry.then((entry) => {
      if (!client.isOpen || join.isOverfull) {
        this.#joins.end(client, room)
        this.#unsubscribeUnused(room)
        // A member has missed what was not held; coming back it recovers.
        if (client.rooms.has(room)) client.disconnect('internal', 'too many messages during a join')
        return !client.isOpen
      }
      this.#admit(client, room, since, entry, answer)
      const held = join.complete(entry.replay.position, this.rooms.get(room)?.delivered)
      for (const frame of held) client.send(frame, room)
      if (join.isOver) this.#joins.end(client, room)
      return true
    })
  }

  /** Subscribes the room, and then reads what was missed. */
  #enter(room: string, since: Position | undefined): Entry | Promise<Entry> {
    const scope = this.#bridge.subscribe(room)
    return scope instanceof Promise
      ? scope.then((scope) => this.#read(room, since, scope))
      : this.#read(room, since, scope)
  }

  #read(room: string, since: Position | undefined, scope: Scope): Entry | Promise<Entry> {
    if (scope === 'node') return { scope, replay: noReplay }
    const replay = this.#bridge.replay(room, {
      since,
      limit: since === undefined ? 0 : this.#limits.historySize,
    })
    return replay instanceof Promise ? replay.then((replay) => ({ scope, replay })) : { scope, replay }
  }

  #admit(
    client: Client,
    room: string,
    since: Position | undefined,
    { scope, replay: { position, isComplete, messages } }: Entry,
    answer: Answer,
  ): void {
    this.rooms.join(client, room, position)
    const recovered = since !== undefined && isComplete
    const missed = recovered ? messages : []
    client.reply(answer({ scope, position, recovered, missed: missed.length }))
    for (const text of missed) client.recover(text)
  }

  /**
   * A member gets its messages as ever, nothing is held or passed over. So its `joined` names the position that it
   * has: what is in the history beyond that may still be on its way to this node.
   */
  #admitAgain(client: Client, room: string, { scope, replay: { position } }: Entry, answer: Answer): void {
    const has = this.#positionOf(client, room)
    client.reply(answer({ scope, position: position && has, recovered: false, missed: 0 }))
  }

  /** Up to where a member has the room's messages; undefined for others, and where the node has never known. */
  #positionOf(client: Client, name: string): Position | undefined {
    if (!client.rooms.has(name)) return undefined
    const room = this.rooms.get(name)
    return this.#joins.in(name)?.get(client)?.through ?? room?.delivered ?? room?.openedAt
  }

  leave(client: Client, room: string): void {
    // First the join: what is still on guard there would keep the room subscribed.
    this.#joins.end(client, room)
    this.rooms.leave(client, room)
  }

  leaveAll(client: Client): void {
    for (const room of client.rooms) this.leave(client, room)
  }

  #unsubscribeUnused(room: string): void {
    if (!this.rooms.has(room) && !this.#joins.has(room)) this.#bridge.unsubscribe(room)
  }
}
