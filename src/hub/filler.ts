import type { Bridge, Filled, Replay } from '../bridge/bridge.ts'
import type { Clock } from '../clock.ts'
import type { Position } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import type { Counters } from './counters.ts'
import type { Deliverer } from './deliverer.ts'
import type { Echoes } from './echoes.ts'
import { headOf, type Live, replayed, senderOf } from './live.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'
import { Waiting } from './waiting.ts'

/** A room whose epoch changes while its history is read is read again, so often at most. */
const READS = 4

export interface FillerOptions {
  bridge: Bridge
  rooms: Rooms
  deliverer: Deliverer
  clients: ReadonlyMap<string, Client>
  echoes: Echoes
  counters: Counters
  clock: Clock
}

/** What a read asked for, and under which epoch of the room: if that has changed, the answer may be older. */
interface Asked {
  readonly epoch: string
  readonly since: Position
  readonly readsLeft: number
}

/** Gives a room's members what they lack, from its history, and goes over to a new epoch with them. */
export class Filler {
  readonly #options: FillerOptions

  constructor(options: FillerOptions) {
    this.#options = options
  }

  /**
   * Reads what comes after the room's cursor; with `epoch`, a message of which has come, whether that is the present
   * one: `whole` also when it is known for what it is.
   */
  fill(room: Room, epoch?: string, readsLeft = READS): Filled | Promise<Filled> {
    const { cursor } = room
    if (cursor === undefined) return this.#find(room)
    const isOther = epoch !== undefined && epoch !== cursor.epoch
    const since = isOther ? { epoch, offset: 0 } : cursor
    const asked: Asked = { epoch: cursor.epoch, since, readsLeft: readsLeft - 1 }
    const { history } = room.rule
    const replay = this.#options.bridge.replay(room.name, { since, limit: history.size, history })
    return replay instanceof Promise
      ? replay.then((replay) => this.#take(room, asked, replay))
      : this.#take(room, asked, replay)
  }

  /**
   * A join has read the room's position, after the room's present epoch was told. `joiner` is told by its `joined`.
   * Returns whether members may lack something of the new epoch: all but a `joiner` that is owed nothing before.
   */
  learn(room: Room, position: Position, joiner: Client, isOwed: boolean): boolean {
    const { cursor } = room
    if (cursor === undefined) {
      room.cursor = position
      this.#beginBlind(room, joiner)
      return false
    }
    if (cursor.epoch === position.epoch) return false
    const mayLack = isOwed || room.members.size > 1
    this.#goTo(room, position.epoch, mayLack ? 0 : position.offset, joiner)
    return mayLack && position.offset > 0
  }

  /** Nobody here knows the position: the room was opened in an outage. */
  #find(room: Room): Filled | Promise<Filled> {
    const replay = this.#options.bridge.replay(room.name, {
      since: undefined,
      limit: 0,
      history: room.rule.history,
    })
    const found = ({ position }: Replay): Filled => {
      if (position === undefined || room.cursor !== undefined || room.hold?.kind === 'opening')
        return 'unread'
      room.cursor = position
      this.#beginBlind(room)
      return 'gap'
    }
    return replay instanceof Promise ? replay.then(found) : found(replay)
  }

  /** The cursor was read: members who were told none are told it, and get what is still under way without offsets. */
  #beginBlind(room: Room, joiner?: Client): void {
    if (room.cursor === undefined || room.members.size === (joiner === undefined ? 0 : 1)) return
    room.isBlind = true
    this.#options.deliverer.reset(room, room.cursor, joiner)
  }

  #take(room: Room, { epoch, since, readsLeft }: Asked, replay: Replay): Filled | Promise<Filled> {
    const { position, isComplete, messages } = replay
    const { cursor } = room
    if (this.#options.rooms.get(room.name) !== room) return 'whole'
    if (position === undefined || cursor === undefined) return 'unread'
    const hasChanged = cursor.epoch !== epoch
    if (hasChanged && (since.epoch !== cursor.epoch || position.epoch !== cursor.epoch))
      return readsLeft > 0
        ? this.fill(room, since.epoch === epoch ? undefined : since.epoch, readsLeft)
        : 'unread'
    if (position.epoch === cursor.epoch) {
      if (since.epoch !== cursor.epoch) {
        // The message that raised the question is late, from before.
        room.addPast({ epoch: since.epoch, offset: 0 }, this.#options.clock.steadyMs())
        return 'whole'
      }
      if (isComplete) this.#give(room, since, messages)
      return isComplete || cursor.offset >= position.offset ? 'whole' : 'gap'
    }
    if (since.epoch === position.epoch && isComplete) {
      this.#goTo(room, position.epoch, 0)
      this.#give(room, since, messages)
      return 'whole'
    }
    if (since.epoch !== position.epoch && readsLeft > 0) return this.fill(room, position.epoch, readsLeft)
    return this.#skipTo(room, position)
  }

  /** Not all of the new epoch can be had: the members go on with the first message that waits, or behind all of them. */
  #skipTo(room: Room, position: Position): Filled {
    const first = room.hold?.lives.find(
      (live) => live.position?.epoch === position.epoch && live.kind === 'live',
    )
    const offset = first?.position === undefined ? position.offset : first.position.offset - 1
    this.#options.counters.missed += offset
    this.#goTo(room, position.epoch, offset)
    room.isBlind = first === undefined
    return first === undefined ? 'gap' : 'whole'
  }

  #goTo(room: Room, epoch: string, offset: number, joiner?: Client): void {
    const position = room.goTo(epoch, offset, this.#options.clock.steadyMs())
    room.isBlind = false
    this.#options.deliverer.reset(room, position, joiner)
  }

  /** Gives the members the messages that follow `since`, in order; those that they have are passed over. */
  #give(room: Room, since: Position, messages: readonly (string | Buffer)[]): void {
    const waiting = new Waiting(room.hold)
    for (const [index, text] of messages.entries()) {
      const position = { epoch: since.epoch, offset: since.offset + 1 + index }
      const missed = replayed(text, position, undefined)
      for (const unplaced of waiting.takeAhead(position)) this.#options.deliverer.sendToRoom(room, unplaced)
      const live = waiting.take({ ...missed, excluded: this.#excludedFrom(missed) })
      if (position.offset <= (room.cursor?.offset ?? 0)) continue
      room.cursor = position
      this.#options.deliverer.sendToRoom(room, live)
    }
    room.isBlind = false
  }

  /** The history does not say whom a message must not reach: a sender that is here, unless it wants an echo. */
  #excludedFrom(missed: Live): Client | undefined {
    const sender = senderOf(missed.text)
    const isWanted = this.#options.echoes.isWanted(sender, headOf(missed))
    return isWanted ? undefined : this.#options.clients.get(sender)
  }
}
