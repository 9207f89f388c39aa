import type { Delivery, Filled } from '../bridge/bridge.ts'
import type { Clock } from '../clock.ts'
import type { Position } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import type { Counters } from './counters.ts'
import type { Deliverer } from './deliverer.ts'
import type { EarlyMemory } from './early-memory.ts'
import type { Filler } from './filler.ts'
import { textFrame } from './frame.ts'
import { headOf, type Live, withoutOffset } from './live.ts'
import type { Hold, Room } from './room.ts'
import type { Rooms } from './rooms.ts'

/** Messages wait so long for what is before them: no longer than a publish waits for a Redis that is silent. */
const HOLD_MS = 500
/** A history that cannot be read may be there again in a moment: its connection begins anew. */
const READ_AGAIN_MS = 50
/** Rooms that are caught up in the background at once; those in which messages wait do not count. */
const CATCH_UPS = 64

export interface SequencerOptions {
  rooms: Rooms
  deliverer: Deliverer
  filler: Filler
  early: EarlyMemory
  clients: ReadonlyMap<string, Client>
  counters: Counters
  clock: Clock
  /** What may wait in a room. */
  maxBytes: number
}

/**
 * The order of each room's messages on this node. A message that follows the room's cursor goes on; one that the members
 * have is passed over; before any other the history is read, and what comes meanwhile waits.
 */
export class Sequencer {
  readonly #options: SequencerOptions
  #catchUps = 0
  readonly #waiting: (() => void)[] = []

  constructor(options: SequencerOptions) {
    this.#options = options
  }

  /** Takes what the bridge brings. */
  deliver(name: string | undefined, deliveries: readonly Delivery[]): void {
    const { rooms, deliverer, early } = this.#options
    if (name === undefined) {
      this.#broadcast(deliveries.map((one) => this.#prepare(one)))
      return
    }
    const room = rooms.get(name)
    if (room === undefined) return
    const lives = deliveries.map((one) => this.#prepare(one))
    if (early.isEmpty && isPlain(room) && follow(room, lives)) {
      deliverer.sendToAll(room.members.keys(), lives, name)
    } else {
      for (const live of lives) this.#take(room, live)
    }
  }

  /** The first join is answered; what came meanwhile goes on. */
  open(room: Room): void {
    if (room.hold?.kind === 'opening') this.#release(room, room.hold, true)
  }

  /** Fills what may be missing, also when no message shows that; see BridgeHost. */
  async catchUp(name: string): Promise<Filled> {
    const { rooms, filler } = this.#options
    if (rooms.get(name)?.rule.history.size === 0) return 'whole'
    if (this.#catchUps >= CATCH_UPS) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#catchUps++
    try {
      const room = rooms.get(name)
      if (room === undefined) return 'whole'
      if (room.hold?.kind === 'opening') return 'unread'
      const filled = await filler.fill(room)
      // The cursor is the room's position: who was told none can be told now.
      if (filled === 'whole' && room.cursor !== undefined && room.untold !== undefined) {
        this.#options.deliverer.tellUntold(room, room.cursor)
      }
      return filled
    } finally {
      // The newest first: it may be a publish that waits; and taking the first of very many is slow.
      const next = this.#waiting.pop()
      if (next === undefined) this.#catchUps--
      else next()
    }
  }

  /** Takes an early message back that waits in the room; returns whether there is one. */
  takeBack(name: string, mark: string): boolean {
    const hold = this.#options.rooms.get(name)?.hold
    const index = hold?.lives.findIndex((live) => live.kind === 'early' && live.mark === mark) ?? -1
    if (hold === undefined || index < 0) return false
    const [live] = hold.lives.splice(index, 1)
    hold.bytes -= live?.frame.length ?? 0
    return true
  }

  #prepare({ text, exclude, position, mark, isEarly = false }: Delivery): Live {
    const excluded = exclude === undefined ? undefined : this.#options.clients.get(exclude)
    return { kind: isEarly ? 'early' : 'live', text, frame: textFrame(text), excluded, position, mark }
  }

  #broadcast(lives: readonly Live[]): void {
    const { clients, deliverer, early } = this.#options
    if (early.isEmpty && lives.every(({ kind }) => kind === 'live'))
      deliverer.sendToAll(clients.values(), lives, undefined)
    else for (const live of lives) deliverer.broadcast(live)
  }

  /** `isForced`: there is nothing to wait for any more. */
  #take(room: Room, live: Live, isForced = false): void {
    const { position } = live
    // The bridge could not wait for this one, and what is before it cannot be read: else it would come behind later ones.
    if (live.kind === 'early' && room.hold?.isUnread) this.#release(room, room.hold, false)
    if (room.hold !== undefined) {
      this.#hold(room, room.hold, live)
    } else if (position === undefined) {
      this.#options.deliverer.sendToRoom(room, live)
    } else if (live.kind === 'early') {
      this.#takeEarly(room, live, position)
    } else {
      this.#takePlaced(room, live, position, isForced)
    }
  }

  /** The bridge may know its place, although it could not wait for it. */
  #takeEarly(room: Room, live: Live, { epoch, offset }: Position): void {
    const { cursor } = room
    const had =
      epoch === cursor?.epoch
        ? room.isBlind
          ? 0
          : cursor.offset
        : (room.pastOffset(epoch, this.#options.clock.steadyMs()) ?? 0)
    if (offset > had) this.#options.deliverer.sendToRoom(room, live)
  }

  #takePlaced(room: Room, live: Live, position: Position, isForced: boolean): void {
    const { deliverer, clock, counters, early } = this.#options
    const cursor = room.cursor ?? this.#begin(room, position)
    if (position.epoch === cursor.epoch) {
      const step = position.offset - cursor.offset
      if (step <= 0) {
        if (room.isBlind) deliverer.sendToRoom(room, withoutOffset(live))
      } else if (step === 1 || isForced) {
        counters.missed += step - 1
        room.cursor = position
        room.isBlind = false
        deliverer.sendToRoom(room, live)
      } else {
        this.#fill(room, live, position.epoch)
      }
      return
    }
    const pastOffset = room.pastOffset(position.epoch, clock.steadyMs())
    if (pastOffset !== undefined) {
      if (position.offset <= pastOffset) return
      room.advancePast(position)
      deliverer.sendToRoom(room, withoutOffset(live))
    } else if (isForced) {
      // Its epoch may turn out to be the present one; then it comes again, from the history.
      deliverer.sendToRoom(room, withoutOffset(live))
      early.add(headOf(live))
      room.ahead = position
    } else {
      this.#fill(room, live, position.epoch)
    }
  }

  /** No member was told a position, and the first message has one. */
  #begin(room: Room, { epoch, offset }: Position): Position {
    const cursor = { epoch, offset: offset - 1 }
    room.cursor = cursor
    this.#options.deliverer.reset(room, cursor)
    return cursor
  }

  #hold(room: Room, hold: Hold, live: Live): void {
    hold.lives.push(live)
    hold.bytes += live.frame.length
    if (hold.bytes <= this.#options.maxBytes) return
    if (hold.kind === 'filling') {
      this.#release(room, hold, false)
      return
    }
    // Nobody is in the room yet, and whoever is on the way has missed something.
    hold.lives = []
    hold.bytes = 0
    for (const join of room.joins?.values() ?? []) join.overfill()
  }

  #fill(room: Room, live: Live, epoch: string): void {
    const hold: Hold = {
      kind: 'filling',
      isUnread: false,
      lives: [live],
      bytes: live.frame.length,
      timer: undefined,
    }
    room.hold = hold
    const filled = this.#options.filler.fill(room, epoch)
    if (!(filled instanceof Promise)) {
      this.#release(room, hold, filled === 'whole')
      return
    }
    hold.timer = setTimeout(() => this.#release(room, hold, false), HOLD_MS)
    void filled.then((filled) => this.#fillAgain(room, hold, epoch, filled))
  }

  async #fillAgain(room: Room, hold: Hold, epoch: string, first: Filled): Promise<void> {
    let filled = first
    while (filled === 'unread' && room.hold === hold) {
      hold.isUnread = true
      await new Promise((resolve) => setTimeout(resolve, READ_AGAIN_MS))
      hold.isUnread = false
      if (room.hold === hold) filled = await this.#options.filler.fill(room, epoch)
    }
    this.#release(room, hold, filled === 'whole')
  }

  /** What waited goes on. With nothing filled, it goes on as it is. */
  #release(room: Room, hold: Hold, isFilled: boolean): void {
    if (room.hold !== hold) return
    clearTimeout(hold.timer)
    room.hold = undefined
    // The first one has had its read, whatever that has brought.
    for (const [index, live] of hold.lives.entries())
      this.#take(room, live, !isFilled || (index === 0 && hold.kind === 'filling'))
    for (const join of room.joins?.values() ?? []) room.settle(join)
  }
}

/** Whether all members are to get just what comes. */
function isPlain({ hold, joins, untold }: Room): boolean {
  return hold === undefined && joins === undefined && untold === undefined
}

/** Moves the cursor, if all follow it one by one. */
function follow(room: Room, lives: readonly Live[]): boolean {
  let { cursor } = room
  for (const { kind, position } of lives) {
    if (kind !== 'live') return false
    if (position === undefined) continue
    if (cursor?.epoch !== position.epoch || position.offset !== cursor.offset + 1) return false
    cursor = position
  }
  if (cursor !== room.cursor) room.isBlind = false
  room.cursor = cursor
  return true
}
