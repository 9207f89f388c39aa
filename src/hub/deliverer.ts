import type { Clock } from '../clock.ts'
import { encode } from '../protocol/codec.ts'
import type { Position } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import type { EarlyMemory } from './early-memory.ts'
import { textFrame } from './frame.ts'
import { hasOffset, headOf, type Live } from './live.ts'
import type { Room } from './room.ts'

/** Hands messages to the clients that should have them. Each frame is made once for all; nobody is waited for. */
export class Deliverer {
  readonly #clients: ReadonlyMap<string, Client>
  readonly #early: EarlyMemory
  readonly #clock: Clock

  constructor(clients: ReadonlyMap<string, Client>, early: EarlyMemory, clock: Clock) {
    this.#clients = clients
    this.#early = early
    this.#clock = clock
  }

  /** A member may be ended while this runs, and so leave the collection: iterating a Map allows that. */
  sendToAll(members: Iterable<Client>, lives: readonly Live[], room: string | undefined): void {
    const nowMs = this.#clock.wallMs()
    for (const member of members) {
      member.endIfExpired(nowMs)
      for (const { frame, excluded } of lives) {
        if (member !== excluded) member.send(frame, room)
      }
    }
  }

  /** To every client, or to those who have not had it early. */
  broadcast(live: Live): void {
    const after = this.#hadBy(live)
    const nowMs = this.#clock.wallMs()
    for (const client of this.#clients.values()) {
      client.endIfExpired(nowMs)
      if (client.number > after && client !== live.excluded) client.send(live.frame, undefined)
    }
  }

  /** To the room's members, or to those who have not had it early; some may have to be told more, or less. */
  sendToRoom(room: Room, live: Live): void {
    const after = this.#hadBy(live)
    const { members, joins } = room
    if (joins === undefined && room.untold === undefined && after < 0) {
      this.sendToAll(members.keys(), [live], room.name)
      return
    }
    const nowMs = this.#clock.wallMs()
    for (const [member, number] of members) {
      member.endIfExpired(nowMs)
      if (this.#isDue(room, member, number, after) && joins?.has(member) !== true)
        this.sendToMember(room, member, live)
    }
    if (joins === undefined) return
    for (const [client, join] of joins) {
      client.endIfExpired(nowMs)
      // What the client has had still tells a join on guard how far the messages are.
      const isDue = this.#isDue(room, client, join.number, after)
      if ((isDue || !join.isHolding) && join.admits(live) && isDue) this.sendToMember(room, client, live)
      if (join.isOver) room.endJoin(client)
    }
  }

  /** A member sees offsets of the epoch that it was told of only, so one that was told of none is told now. */
  sendToMember(room: Room, member: Client, live: Live): void {
    if (member === live.excluded) return
    const { position } = live
    if (position !== undefined && room.untold?.has(member) && hasOffset(live)) {
      member.notify(resetFrame(room.name, { epoch: position.epoch, offset: position.offset - 1 }))
      room.tell(member, true)
    }
    member.send(live.frame, room.name)
  }

  /** Tells the members of the room's position; those in the middle of a join, and `except`, are told by `joined`. */
  reset(room: Room, position: Position, except?: Client): void {
    const frame = resetFrame(room.name, position)
    for (const member of room.members.keys()) {
      if (member === except || !room.isSettled(member)) continue
      room.tell(member, true)
      member.notify(frame)
    }
  }

  /** The same for those members who were told none. */
  tellUntold(room: Room, position: Position): void {
    const frame = resetFrame(room.name, position)
    for (const member of room.untold ?? []) {
      if (!room.isSettled(member)) continue
      room.tell(member, true)
      member.notify(frame)
    }
  }

  /** Whether a member has not had what those who had arrived by `after` have had. */
  #isDue({ name }: Room, { id }: Client, number: number, after: number): boolean {
    return number > after && (after < 0 || !this.#early.wasThere(id, name, after))
  }

  /** The number up to which clients have had it; what is early, they have from now on. */
  #hadBy(live: Live): number {
    if (live.kind === 'early') this.#early.add(headOf(live))
    else if (!this.#early.isEmpty) return this.#early.take(headOf(live))
    return -1
  }
}

function resetFrame(room: string, position: Position): Buffer {
  return textFrame(encode({ type: 'reset', room, ...position }))
}
