import { type Bridge, noReplay, type Replay } from '../bridge/bridge.ts'
import type { Outbound, Position, Scope } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import type { Counters } from './counters.ts'
import type { Deliverer } from './deliverer.ts'
import { Departures } from './departures.ts'
import type { EarlyMemory } from './early-memory.ts'
import type { Filler } from './filler.ts'
import { Join, type JoinResult } from './join.ts'
import { type Live, replayed } from './live.ts'
import type { Room } from './room.ts'
import type { Rooms } from './rooms.ts'
import type { Sequencer } from './sequencer.ts'

/** A join whose answer is older than what the room's members were told reads again, so often at most. */
const READS = 4
/** What a second read asks for besides, since the room goes on. */
const MEANWHILE = 100

export interface MembershipOptions {
  bridge: Bridge
  rooms: Rooms
  deliverer: Deliverer
  filler: Filler
  sequencer: Sequencer
  early: EarlyMemory
  counters: Counters
  /** What is held for one join. */
  maxBytes: number
}

/** What a join finds: how far the subscription reaches, and what the room has kept. */
interface Entry {
  scope: Scope
  replay: Replay
}

/** What is wanted of the history: what follows `since`, or else the newest `last`. */
export interface Wanted {
  readonly since: Position | undefined
  readonly last: number | undefined
}

/** Makes the `joined`. */
type Answer = (joined: JoinResult) => Outbound

/** A join that is under way. */
interface Joining {
  readonly client: Client
  readonly room: Room
  readonly wanted: Wanted
  readonly answer: Answer
  readonly join: Join
  readonly wantsPresence: boolean
}

/** Who is in which room, and on the way into it; a room is subscribed while there is either. */
export class Membership {
  readonly #options: MembershipOptions
  readonly #departures = new Departures((client, room) => this.leave(client, room))

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  /**
   * Makes the client a member: `answer` makes its `joined`, which goes out ahead of the messages that are wanted of the
   * history and of the live ones. False, and no answer, when the join cannot be completed now. Nothing is waited for where the
   * bridge answers at once.
   */
  join(
    client: Client,
    name: string,
    wanted: Wanted,
    answer: Answer,
    wantsPresence: boolean,
  ): boolean | Promise<boolean> {
    const { rooms, early, maxBytes } = this.#options
    const room = rooms.open(name)
    const number = room.members.get(client) ?? early.arrive()
    if (wantsNone(wanted) && this.#positionOf(client, room) !== undefined) {
      const entry = this.#enterInformed(room, wanted, undefined, wantsPresence)
      const admit = (entry: Entry) => this.#admitAgain(client, room, answer, entry, wantsPresence)
      return entry instanceof Promise ? entry.then(admit) : admit(entry)
    }
    const from = this.#positionOf(client, room)
    const join = new Join(client, number, maxBytes, room.joins?.get(client), from)
    const joining: Joining = { client, room, wanted, answer, join, wantsPresence }
    const entry = this.#enterInformed(room, wanted, join, wantsPresence)
    if (!(entry instanceof Promise)) return this.#admit(joining, entry)
    room.beginJoin(join)
    return entry.then((entry) => {
      const isRemoved = room.joins?.get(client) !== join
      if (client.isOpen && !join.isOverfull && !isRemoved) return this.#admit(joining, entry)
      room.endJoin(client)
      rooms.closeUnused(room)
      // A member has missed what was not held; coming back it recovers.
      if (client.rooms.has(name)) client.disconnect('internal', 'too many messages during a join')
      return !client.isOpen
    })
  }

  leave(client: Client, room: string): void {
    const { rooms, early } = this.#options
    const number = client.isOpen ? rooms.members(room).get(client) : undefined
    if (number !== undefined) early.leave(client.id, room, number)
    client.leaving(room)
    rooms.leave(client, room)
  }

  /** Has a user's members leave, who did not ask for it; returns how many that were. A first join under way goes on. */
  remove(user: string, room: string): number {
    let count = 0
    for (const client of this.#options.rooms.members(room).keys()) {
      if (client.user !== user) continue
      this.leave(client, room)
      client.reply({ type: 'left', room, reason: 'removed' })
      count++
    }
    return count
  }

  leaveAll(client: Client): void {
    this.#departures.add(client)
  }

  /** Who asks for presence is told when the other nodes' users are known. */
  #enterInformed(
    room: Room,
    wanted: Wanted,
    join: Join | undefined,
    wantsPresence: boolean,
  ): Entry | Promise<Entry> {
    const ready = wantsPresence ? room.presence?.ready : undefined
    if (ready === undefined) return this.#enter(room, wanted, join)
    return ready.then(() => {
      // Closed meanwhile: nobody would give its subscription back.
      const isOpen = this.#options.rooms.get(room.name) === room
      return isOpen ? this.#enter(room, wanted, join) : { scope: 'node', replay: noReplay }
    })
  }

  /** Subscribes the room, and then reads what was missed. */
  #enter(room: Room, wanted: Wanted, join: Join | undefined): Entry | Promise<Entry> {
    const scope = this.#options.bridge.subscribe(room.name)
    return scope instanceof Promise
      ? scope.then((scope) => this.#read(room, wanted, join, scope))
      : this.#read(room, wanted, join, scope)
  }

  #read(
    room: Room,
    wanted: Wanted,
    join: Join | undefined,
    scope: Scope,
    readsLeft = READS,
  ): Entry | Promise<Entry> {
    if (scope === 'node' || readsLeft === 0) return { scope, replay: noReplay }
    const epoch = room.cursor?.epoch
    const { since, last } = wanted
    const { history } = room.rule
    const limit = since === undefined ? Math.min(last ?? 0, history.size) : history.size
    const take = (replay: Replay): Entry | Promise<Entry> => {
      if (since !== undefined && last !== undefined && replay.position !== undefined && !replay.isComplete)
        return this.#read(room, { since: undefined, last }, join, scope, readsLeft)
      const due = since === undefined && last !== undefined ? dueTo(join, replay.position) : 0
      // More has come meanwhile than was asked for: a member must not lack what lies between.
      if (last !== undefined && due > replay.messages.length && replay.messages.length === limit)
        return this.#read(room, { since, last: due + MEANWHILE }, join, scope, readsLeft - 1)
      return isBehind(room, join, epoch, replay.position)
        ? this.#read(room, wanted, join, scope, readsLeft - 1)
        : { scope, replay }
    }
    const replay = this.#options.bridge.replay(room.name, { since, limit, history })
    return replay instanceof Promise ? replay.then(take) : take(replay)
  }

  #admit({ client, room, wanted, answer, join, wantsPresence }: Joining, { scope, replay }: Entry): true {
    const { rooms, filler, sequencer, deliverer, counters } = this.#options
    const { position } = replay
    rooms.join(client, room, join.number)
    const mayLack = position !== undefined && filler.learn(room, position, client, false)
    room.tell(client, position !== undefined)
    const { since, last } = wanted
    const recovered = since !== undefined && replay.isComplete
    if (since !== undefined) counters.recoveries[recovered ? 'recovered' : 'lost']++
    const all = recovered || last !== undefined ? missedIn(replay) : []
    const missed = recovered ? all : all.slice(-Math.max(last ?? 0, dueTo(join, position)))
    client.reply(answer({ scope, position, recovered, missed: missed.length }))
    for (const { frame } of missed) client.recover(frame)
    room.presence?.watch(client, wantsPresence)
    for (const live of join.complete(position, room, missed)) deliverer.sendToMember(room, client, live)
    if (!join.isOver) room.beginJoin(join)
    sequencer.open(room)
    room.settle(join)
    if (mayLack) void filler.fill(room)
    return true
  }

  /**
   * A member gets its messages as ever, nothing is held or passed over. So its `joined` names the position that it
   * has: what is in the history beyond that may still be on its way to this node.
   */
  #admitAgain(
    client: Client,
    room: Room,
    answer: Answer,
    { scope, replay: { position } }: Entry,
    wantsPresence: boolean,
  ): boolean {
    if (!client.isOpen) return true
    if (!room.members.has(client)) return false
    const { filler } = this.#options
    const mayLack = position !== undefined && filler.learn(room, position, client, true)
    room.tell(client, position !== undefined)
    const has = this.#positionOf(client, room)
    client.reply(answer({ scope, position: position && has, recovered: false, missed: 0 }))
    room.presence?.watch(client, wantsPresence)
    if (mayLack) void filler.fill(room)
    return true
  }

  /** Up to where a member has the room's messages; undefined for others, and where the node has never known. */
  #positionOf(client: Client, room: Room): Position | undefined {
    if (!room.members.has(client)) return undefined
    const { cursor } = room
    const through = cursor && room.joins?.get(client)?.through(cursor.epoch)
    return cursor && { epoch: cursor.epoch, offset: Math.max(cursor.offset, through ?? 0) }
  }
}

/** Whether the room has gone further than what a join has read, without the join holding what lies between. */
function isBehind(
  { cursor }: Room,
  join: Join | undefined,
  epochThen: string | undefined,
  position: Position | undefined,
): boolean {
  if (cursor === undefined || position === undefined) return false
  if (cursor.epoch !== position.epoch) return cursor.epoch !== epochThen
  return join !== undefined && position.offset < cursor.offset && !join.holdsFrom(position)
}

/** How many messages up to `position` a member has not had. */
function dueTo(join: Join | undefined, position: Position | undefined): number {
  const from = join?.from
  if (from === undefined || position === undefined || from.epoch !== position.epoch) return 0
  return Math.max(0, position.offset - from.offset)
}

function wantsNone({ since, last }: Wanted): boolean {
  return since === undefined && last === undefined
}

/** All that was read: it ends at the room's position. */
function missedIn({ position, messages }: Replay): Live[] {
  if (position === undefined) return []
  const { epoch, offset } = position
  const before = offset - messages.length
  return messages.map((text, index) => replayed(text, { epoch, offset: before + 1 + index }, undefined))
}
