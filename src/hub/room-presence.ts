import type { Clock, Timers } from '../clock.ts'
import type { Presence, Present } from '../presence/presence.ts'
import type { RequestId } from '../protocol/envelope.ts'
import { memberText, type NamedUser, presenceBody, presenceText } from '../protocol/presence-text.ts'
import type { PresenceRule } from '../rules/room-rules.ts'
import type { Client } from './client.ts'
import { textFrame } from './frame.ts'
import { PresenceNews } from './presence-news.ts'
import { PresentUser } from './present-user.ts'
import type { RoomWatch } from './room-watch.ts'

/** Telling one of thousands costs some 20 µs, and may take a tenth of the node's time: from 500 on it is rarer. */
const REST_MS_A_WATCHER = 0.2
/** After a full list, which a room that swings about `listMax` would be sent again and again. */
const LIST_REST_MS = 1000
/** A longer list is none: with its envelope it is a frame that clients take whose limit is 1 MiB, as many have. */
const LIST_BYTES = 768 * 1024

/** What presence needs of a client. */
export type PresenceClient = Pick<Client, 'user' | 'info' | 'notify' | 'endIfExpired'>

export interface RoomPresenceOptions {
  node: string
  rule: PresenceRule
  presence: Presence
  clock: Clock
  timers: Timers
  /** No user of this node is left in it. */
  onEmpty(room: RoomPresence): void
  /** Undefined when nobody is to be told. */
  watch: RoomWatch | undefined
}

/**
 * Who is in a room, on all nodes. Members are told in batches, all of them the same: what there was at the last one is
 * what `presence` says, so that whoever applies one after the other is where all are. A timer runs only while something waits.
 */
export class RoomPresence {
  readonly name: string
  /** Resolves when the other nodes' users are known; undefined once they are. */
  ready: Promise<void> | undefined
  readonly #options: RoomPresenceOptions
  readonly #users = new Map<string, PresentUser>()
  /** Users of whom something is new since members were told last. */
  readonly #changed = new Set<PresentUser>()
  /** Those of this node of whom the other nodes are to be told. */
  readonly #unannounced = new Set<PresentUser>()
  /** Users whose last client here has left, with the time at which they leave; the first to leave first. */
  readonly #lingering = new Map<PresentUser, number>()
  /** Members who are told of changes. */
  readonly #watchers = new Set<PresenceClient>()
  readonly #news: PresenceNews | undefined
  #usersHere = 0
  /** Users that members were told of, and what a list of them takes. */
  #told = 0
  #toldBytes = 0
  #body: string | undefined
  #frame: Buffer | undefined
  #mayTellAtMs = -Infinity
  #cancelTell: (() => void) | undefined
  #cancelLinger: (() => void) | undefined

  constructor(name: string, options: RoomPresenceOptions) {
    this.name = name
    this.#options = options
    const { node, watch } = options
    this.#news = watch && new PresenceNews(name, node, watch)
    const opened = options.presence.open(name, options.rule)
    this.ready = opened?.then(() => {
      this.ready = undefined
      this.#news?.tell(this.#users.values())
    })
  }

  /** Whether no user is here, one that lingers included. */
  get isEmpty(): boolean {
    return this.#usersHere === 0
  }

  /** A client has become a member. */
  enter({ user, info }: PresenceClient): void {
    const one = this.#userOf(user)
    const { clientsHere } = one
    if (one.here === undefined) {
      one.here = { clients: 0, info }
      this.#usersHere++
    } else {
      this.#lingering.delete(one)
    }
    const { here } = one
    here.clients++
    if (one.clientsHere === clientsHere && here.info === info) return
    here.info = info
    this.#changeHere(one)
  }

  /** A member's client has another info now. */
  renew({ user, info }: PresenceClient): void {
    const one = this.#users.get(user)
    if (one?.here === undefined || one.here.info === info) return
    one.here.info = info
    this.#changeHere(one)
  }

  /** A member has left. */
  leave(client: PresenceClient): void {
    this.#watchers.delete(client)
    const one = this.#users.get(client.user)
    if (one?.here === undefined) return
    if (--one.here.clients > 0) {
      this.#changeHere(one)
      return
    }
    this.#lingering.set(one, this.#now + this.#options.rule.lingerMs)
    if (this.#options.rule.lingerMs <= 0) this.#endLingering()
    else this.#cancelLinger ??= this.#options.timers.after(this.#options.rule.lingerMs, this.#endLingering)
  }

  /** Sends a `presence`; from then on the client is told of changes, or is not. */
  watch(client: PresenceClient, wants: boolean): void {
    if (!wants) {
      this.#watchers.delete(client)
      return
    }
    this.#tellIfDue()
    this.#frame ??= textFrame(presenceText(undefined, this.#bodyNow()))
    client.notify(this.#frame)
    this.#watchers.add(client)
  }

  /** The text of a `presence`; to be sent at once, or it may be older than what the client was told. */
  text(id: RequestId | undefined): string {
    this.#tellIfDue()
    return presenceText(id, this.#bodyNow())
  }

  /** This node's users. */
  *present(): Iterable<Present> {
    for (const one of this.#users.values()) if (one.here !== undefined) yield presentHere(one)
  }

  hear(node: string, changes: readonly Present[]): void {
    for (const { user, clients, info } of changes) {
      if (clients === 0 && !this.#users.has(user)) continue
      const one = this.#userOf(user)
      if (one.setElsewhere(node, clients, info)) this.#change(one)
    }
  }

  /** `isGone`: the node cannot tell of it any more. */
  hearAll(node: string, users: readonly Present[], isGone = false): void {
    const listed = new Set(users.map(({ user }) => user))
    for (const one of this.#users.values()) {
      if (!one.isAt(node) || listed.has(one.user) || !one.setElsewhere(node, 0, undefined)) continue
      if (isGone) one.wentFrom ??= 'a node that is gone'
      this.#change(one)
    }
    this.hear(node, users)
  }

  /** The room is closed: nothing of it happens any more. */
  end(): void {
    // Who has left last has not been told of: members there are none.
    this.#tellNews(this.#changed)
    this.#cancelTell?.()
    this.#cancelLinger?.()
  }

  get #now(): number {
    return this.#options.clock.steadyMs()
  }

  /** Whether members know all users, and not their number alone. */
  get #isListed(): boolean {
    return this.#told <= this.#options.rule.listMax && this.#toldBytes <= LIST_BYTES
  }

  #userOf(user: string): PresentUser {
    let one = this.#users.get(user)
    if (one === undefined) {
      one = new PresentUser(user)
      this.#users.set(user, one)
    }
    return one
  }

  #changeHere(one: PresentUser): void {
    this.#unannounced.add(one)
    this.#change(one)
  }

  #change(one: PresentUser): void {
    this.#changed.add(one)
    this.#cancelTell ??= this.#options.timers.after(Math.max(0, this.#mayTellAtMs - this.#now), this.#tell)
  }

  readonly #endLingering = (): void => {
    this.#cancelLinger = undefined
    const now = this.#now
    for (const [one, atMs] of this.#lingering) {
      if (atMs > now) {
        this.#cancelLinger = this.#options.timers.after(atMs - now, this.#endLingering)
        break
      }
      this.#lingering.delete(one)
      one.here = undefined
      one.wentFrom = 'here'
      this.#usersHere--
      this.#changeHere(one)
    }
    if (this.isEmpty) this.#options.onEmpty(this)
  }

  /** Who asks in a quiet room is told the newest. */
  #tellIfDue(): void {
    if (this.#changed.size === 0 || this.#now < this.#mayTellAtMs) return
    this.#cancelTell?.()
    this.#tell()
  }

  /** Tells the other nodes and the members what has changed. */
  readonly #tell = (): void => {
    this.#cancelTell = undefined
    const { intervalMs } = this.#options.rule
    this.#mayTellAtMs = this.#now + Math.max(intervalMs, this.#watchers.size * REST_MS_A_WATCHER)
    if (this.#unannounced.size > 0)
      this.#options.presence.announce(this.name, [...this.#unannounced].map(presentHere))
    this.#unannounced.clear()
    this.#body = undefined
    this.#frame = undefined
    const before = { told: this.#told, isListed: this.#isListed }
    const { entered, left } = this.#settle()
    const text = this.#textOf(before, entered, left)
    if (text !== undefined) this.#send(text)
  }

  /** What there is to tell is taken for told. */
  #settle(): { entered: NamedUser[]; left: string[] } {
    const entered: NamedUser[] = []
    const left: string[] = []
    for (const one of this.#changed) {
      const { isTold, toldBytes } = one
      const news = one.tell(this.#options.node)
      if (news === 'entered') entered.push(one.named)
      else if (news === 'left') left.push(one.user)
      if (one.isTold !== isTold) this.#told += isTold ? -1 : 1
      this.#toldBytes += one.toldBytes - toldBytes
      if (!one.isThere) this.#users.delete(one.user)
    }
    this.#tellNews(this.#changed)
    this.#changed.clear()
    return { entered, left }
  }

  #tellNews(changed: Iterable<PresentUser>): void {
    if (this.#news === undefined) return
    for (const one of changed) this.#news.add(one)
    if (this.ready === undefined) this.#news.tell(this.#users.values())
  }

  #textOf(before: { told: number; isListed: boolean }, entered: NamedUser[], left: string[]) {
    if (this.#watchers.size === 0 || entered.length + left.length === 0) return undefined
    if (!this.#isListed) return this.#told === before.told ? undefined : memberText(this.name, this.#told)
    if (before.isListed) return memberText(this.name, this.#told, entered, left)
    // Members knew a number only.
    this.#mayTellAtMs = Math.max(this.#mayTellAtMs, this.#now + LIST_REST_MS)
    return presenceText(undefined, this.#bodyNow())
  }

  #send(text: string): void {
    const frame = textFrame(text)
    const nowMs = this.#options.clock.wallMs()
    // One that is ended here leaves the set: iterating allows that.
    for (const client of this.#watchers) {
      client.endIfExpired(nowMs)
      client.notify(frame)
    }
  }

  /** What members were told last. */
  #bodyNow(): string {
    if (this.#body !== undefined) return this.#body
    const listed: (NamedUser & { clients: number })[] = []
    let bytes = 0
    for (const one of this.#users.values()) {
      bytes += one.toldBytes
      if (listed.length === this.#options.rule.listMax || bytes > LIST_BYTES) break
      if (one.isTold) listed.push({ ...one.named, clients: Math.max(1, one.clients) })
    }
    this.#body = presenceBody(this.name, this.#told, listed, listed.length < this.#told)
    return this.#body
  }
}

function presentHere(one: PresentUser): Present {
  return { user: one.user, clients: one.clientsHere, info: one.here?.info }
}
