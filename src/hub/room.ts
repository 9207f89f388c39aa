import type { Position } from '../protocol/envelope.ts'
import type { RoomRule } from '../rules/room-rules.ts'
import type { Client } from './client.ts'
import type { Join } from './join.ts'
import type { Live } from './live.ts'
import type { RoomPresence } from './room-presence.ts'

/** Epochs of before that are remembered; what comes of them is late. */
const PAST_EPOCHS = 4
/** What is late is late by seconds: after so long an epoch of before may have become the present one again. */
const PAST_MS = 10_000

/** Messages that wait, in order, for what is before them. */
export interface Hold {
  /** `opening`: for the first join. `filling`: for what was missed, to be read from the history. */
  readonly kind: 'opening' | 'filling'
  /** Whether the history could not be read so far. */
  isUnread: boolean
  lives: Live[]
  bytes: number
  timer: NodeJS.Timeout | undefined
}

/** A room on this node: it exists while somebody here is in it, or on the way into it. */
export class Room {
  readonly name: string
  readonly rule: RoomRule
  /** Each with the number of its membership (EarlyMemory). */
  readonly members = new Map<Client, number>()
  /** The joins that are under way or still on guard; most rooms have none. */
  joins: Map<Client, Join> | undefined
  /** The newest position that the members have, where the room keeps history. All have messages in its order, once. */
  cursor: Position | undefined
  /** Whether messages up to the cursor may still be due: it was read, not reached. */
  isBlind = false
  /** What the members got, without its offset, of an epoch that they were not told of: what is before it is passed over. */
  ahead: Position | undefined
  /** Members who were told no position while the room had one; undefined for none. */
  untold: Set<Client> | undefined
  /** Who is in it, on all nodes, where its rule has presence. */
  presence: RoomPresence | undefined
  hold: Hold | undefined = {
    kind: 'opening',
    isUnread: false,
    lives: [],
    bytes: 0,
    timer: undefined,
  }
  /** The last epochs of before, the oldest first, and up to where the members have their messages. */
  #past: Map<string, { offset: number; atMs: number }> | undefined

  constructor(name: string, rule: RoomRule) {
    this.name = name
    this.rule = rule
  }

  get isEmpty(): boolean {
    return this.members.size === 0 && this.joins === undefined
  }

  beginJoin(join: Join): void {
    this.joins ??= new Map()
    this.joins.set(join.client, join)
  }

  endJoin(client: Client): void {
    if (this.joins?.delete(client) && this.joins.size === 0) this.joins = undefined
  }

  /** What came during the join has been seen to, unless something waits. */
  settle(join: Join): void {
    if (this.hold !== undefined || join.isHolding) return
    join.settle()
    if (join.isOver) this.endJoin(join.client)
  }

  /** Whether the client gets the room's messages when they come: it is not in the middle of a join. */
  isSettled(client: Client): boolean {
    return this.joins?.get(client)?.isHolding !== true
  }

  /** The client was told a position, or that there is none. */
  tell(client: Client, isTold: boolean): void {
    if (isTold) {
      if (this.untold?.delete(client) && this.untold.size === 0) this.untold = undefined
    } else if (this.cursor !== undefined) {
      this.untold ??= new Set()
      this.untold.add(client)
    }
  }

  /** Up to where the members have the messages of an epoch that is past; undefined for others. */
  pastOffset(epoch: string, nowMs: number): number | undefined {
    const past = this.#past?.get(epoch)
    return past !== undefined && nowMs - past.atMs < PAST_MS ? past.offset : undefined
  }

  /** Messages of that epoch are late from now on; up to `offset` the members have them. */
  addPast({ epoch, offset }: Position, nowMs: number): void {
    this.#past ??= new Map()
    const known = this.#past.get(epoch)?.offset ?? 0
    this.#past.delete(epoch)
    this.#past.set(epoch, { offset: Math.max(offset, known), atMs: nowMs })
    const [oldest] = this.#past.keys()
    if (this.#past.size > PAST_EPOCHS && oldest !== undefined) this.#past.delete(oldest)
  }

  /** A late message is delivered. */
  advancePast({ epoch, offset }: Position): void {
    const past = this.#past?.get(epoch)
    if (past !== undefined) past.offset = offset
  }

  /** Goes over to another epoch; returns where in it, which is further than its beginning if it was there before, or has gone ahead. */
  goTo(epoch: string, offset: number, nowMs: number): Position {
    const ahead = this.ahead?.epoch === epoch ? this.ahead.offset : 0
    const position = { epoch, offset: Math.max(offset, ahead, this.#past?.get(epoch)?.offset ?? 0) }
    this.ahead = undefined
    if (this.cursor !== undefined) this.addPast(this.cursor, nowMs)
    this.#past?.delete(epoch)
    this.cursor = position
    return position
  }
}
