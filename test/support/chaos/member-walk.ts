// One connection, envelope by envelope: what a member may be told, by docs/PROTOCOL.md.
import type { Life } from './recording.ts'
import type { Position, Sightings } from './sightings.ts'
import type { Envelope, Event, Message, Story } from './story.ts'
import type { Verdict } from './verdict.ts'

/** How a message came: in a recovery, in its place, or without an offset in a room that has them. */
type Way = 'recovered' | 'live' | 'unplaced'

interface Seen {
  way: Way
  position: Position | undefined
  atMs: number
}

/** A room as this connection knows it. */
interface Membership {
  isMember: boolean
  /** The epoch that it was last told, and where it is in it. */
  told: Position | undefined
  /** What is left of a recovery. */
  left: number
  seen: Map<string, Seen>
}

/** Offsets behind `from` and before `to` that were passed over. */
export interface Jump {
  life: Life
  room: string
  epoch: string
  from: number
  to: number
  atMs: number
  /** What the member has without an offset. */
  seen: ReadonlyMap<string, unknown>
}

export class MemberWalk {
  readonly jumps: Jump[] = []
  readonly #life: Life
  readonly #story: Story
  readonly #sightings: Sightings
  readonly #verdict: Verdict
  readonly #rooms = new Map<string, Membership>()
  readonly #since = new Map<string, Position>()
  /** In whatever way, in whichever membership. */
  readonly #got = new Set<string>()
  /** The requests that have no answer yet, in their order. */
  readonly #unanswered: string[] = []

  constructor(life: Life, story: Story, sightings: Sightings, verdict: Verdict) {
    this.#life = life
    this.#story = story
    this.#sightings = sightings
    this.#verdict = verdict
  }

  walk(events: readonly Event[]): void {
    for (const event of events) {
      if (event.isSent) this.#onSent(event.envelope)
      else this.#onGot(event)
    }
  }

  /** Whether this connection has ever got the message. */
  has(mid: string): boolean {
    return this.#got.has(mid)
  }

  #violate(kind: string, { atMs }: Event, text: string, mid?: string): void {
    this.#verdict.violate(kind, this.#life, atMs, text, mid)
  }

  #onSent({ id, since }: Envelope): void {
    if (id === undefined) return
    this.#unanswered.push(id)
    if (since !== undefined) this.#since.set(id, since)
  }

  #onGot(event: Event): void {
    const { type, id } = event.envelope
    if (id !== undefined && type !== 'message') this.#answer(event, id)
    if (type === 'message') this.#onMessage(event)
    else if (type === 'joined') this.#onJoined(event)
    else if (type === 'left') this.#onLeft(event)
    else if (type === 'reset') this.#onReset(event)
    else if (type === 'error' && event.envelope.code === 'internal')
      this.#violate('internal', event, event.text)
  }

  #answer(event: Event, id: string): void {
    const place = this.#unanswered.indexOf(id)
    if (place !== 0)
      this.#violate('answers out of order', event, `${event.text}; ${place} others were due before it`)
    if (place >= 0) this.#unanswered.splice(place, 1)
  }

  #room(name: string): Membership {
    const known = this.#rooms.get(name) ?? { isMember: false, told: undefined, left: 0, seen: new Map() }
    this.#rooms.set(name, known)
    return known
  }

  #onJoined(event: Event): void {
    const { id = '', room = '', epoch, offset, scope, recovered } = event.envelope
    const since = this.#since.get(id)
    const membership = this.#room(room)
    const isAgain = membership.isMember
    const position = epoch === undefined || offset === undefined ? undefined : { epoch, offset }
    if (!isAgain) membership.seen = new Map()
    membership.isMember = true
    this.#endRecovery(event, room, membership)
    if ((scope === 'node' && position !== undefined) || (recovered !== undefined) !== (since !== undefined))
      this.#violate('joined', event, event.text)
    if (recovered && since !== undefined) this.#onRecovered(event, membership, since)
    else {
      if (since !== undefined) this.#verdict.count('not recovered')
      if (isAgain && since === undefined) this.#checkAgain(event, room, membership, position)
      this.#checkEpoch(event, since?.epoch, position)
      membership.told = position
    }
  }

  #onRecovered(event: Event, membership: Membership, since: Position): void {
    const { epoch, offset = 0, missed = 0 } = event.envelope
    this.#verdict.count('recoveries')
    this.#verdict.count('recovered messages', missed)
    if (epoch !== since.epoch || missed !== offset - since.offset)
      this.#violate('hole in a recovery', event, `since ${since.epoch} ${since.offset}: ${event.text}`)
    // It has asked for these again.
    for (const [mid, { position }] of membership.seen)
      if (position?.epoch === since.epoch && position.offset > since.offset) membership.seen.delete(mid)
    membership.told = { ...since }
    membership.left = missed
  }

  #endRecovery(event: Event, room: string, membership: Membership): void {
    if (membership.left > 0)
      this.#violate('hole in a recovery', event, `${room}: the last ${membership.left} did not come`)
    membership.left = 0
  }

  /** A member that joins again is told the position that it has. */
  #checkAgain(event: Event, room: string, { told, seen }: Membership, position: Position | undefined): void {
    if (told === undefined || position === undefined || told.epoch !== position.epoch) return
    if (position.offset < told.offset)
      this.#violate('position of a second join', event, `${event.text}; it has ${told.offset}`)
    this.#jump(event, room, told, position.offset + 1, seen)
  }

  #checkEpoch(event: Event, before: string | undefined, position: Position | undefined): void {
    if (before === undefined || position === undefined || before === position.epoch) return
    if (!this.#verdict.mayHaveLost(0, event.atMs))
      this.#violate('a new epoch without a loss', event, `after ${before}: ${event.text}`)
  }

  #onLeft(event: Event): void {
    const { room = '' } = event.envelope
    const membership = this.#room(room)
    this.#endRecovery(event, room, membership)
    membership.isMember = false
    membership.told = undefined
  }

  #onReset(event: Event): void {
    const { room = '', epoch, offset } = event.envelope
    const membership = this.#room(room)
    this.#verdict.count('resets')
    this.#endRecovery(event, room, membership)
    if (
      !membership.isMember ||
      epoch === undefined ||
      offset === undefined ||
      membership.told?.epoch === epoch
    ) {
      this.#violate('reset', event, `${event.text}; the member was told ${membership.told?.epoch}`)
      return
    }
    this.#checkEpoch(event, membership.told?.epoch, { epoch, offset })
    membership.told = { epoch, offset }
  }

  #onMessage(event: Event): void {
    const { mid, envelope } = event
    this.#verdict.count('deliveries')
    const message = this.#story.messages.get(mid)
    const fault = message === undefined ? 'nobody has sent it' : this.#alteration(event, message)
    if (fault !== undefined || message === undefined) {
      this.#violate('altered', event, `${fault}: ${event.text.slice(0, 200)}`, mid)
      return
    }
    const { room } = envelope
    if (room === undefined) this.#onBroadcast(event, message)
    else this.#onRoomMessage(event, message, room)
    this.#got.add(mid)
  }

  #onRoomMessage(event: Event, message: Message, room: string): void {
    const { mid, atMs, envelope } = event
    const membership = this.#room(room)
    if (!membership.isMember) {
      this.#violate('not a member', event, event.text, mid)
      return
    }
    const { offset } = envelope
    const { told } = membership
    if (offset !== undefined && told === undefined) {
      this.#violate('an offset without an epoch', event, event.text, mid)
      return
    }
    const position = offset === undefined || told === undefined ? undefined : { epoch: told.epoch, offset }
    const way = position === undefined ? 'unplaced' : membership.left > 0 ? 'recovered' : 'live'
    if (way !== 'recovered' && !message.isEchoed && this.#isOwn(envelope))
      this.#violate("a sender's own message", event, event.text, mid)
    this.#once(event, message, membership, { way, position, atMs })
    if (position !== undefined) this.#place(event, room, membership, position)
    else if (this.#verdict.hasBridge) this.#verdict.count('without an offset')
    else this.#violate('no offset', event, event.text, mid)
  }

  #isOwn({ from }: Envelope): boolean {
    return this.#story.clients.get(from?.client ?? '') === this.#life
  }

  /** A rising offset, one by one, or a jump. */
  #place(event: Event, room: string, membership: Membership, position: Position): void {
    const { mid, atMs, envelope } = event
    const told = membership.told as Position
    if (position.offset <= told.offset)
      this.#violate(
        'an offset back',
        event,
        `${room}: ${position.offset} after ${told.offset} of ${told.epoch}`,
        mid,
      )
    if (membership.left > 0) {
      membership.left--
      if (position.offset !== told.offset + 1)
        this.#violate('hole in a recovery', event, `${room}: ${position.offset} after ${told.offset}`, mid)
    } else this.#jump(event, room, told, position.offset, membership.seen)
    membership.told = position
    const client = envelope.from?.client ?? ''
    this.#sightings.add({ ...position, room, mid, client, atMs, life: this.#life }, this.#verdict)
  }

  #jump(
    { atMs }: Event,
    room: string,
    { epoch, offset }: Position,
    to: number,
    seen: Membership['seen'],
  ): void {
    if (to > offset + 1) this.jumps.push({ life: this.#life, room, epoch, from: offset, to, atMs, seen })
  }

  #onBroadcast(event: Event, { tries }: Message): void {
    const { mid, envelope } = event
    if (envelope.offset !== undefined) this.#violate('a broadcast with an offset', event, event.text, mid)
    if (this.#got.has(mid)) {
      if (tries.length === 1) this.#violate('twice', event, `the broadcast ${mid}, sent once`, mid)
      else this.#verdict.count('broadcasts twice, repeated')
    }
  }

  /** Each message once, with the exceptions that the documents name. */
  #once(event: Event, { mid, tries, hasKey }: Message, { seen }: Membership, now: Seen): void {
    const before = seen.get(mid)
    if (before === undefined || now.way !== 'unplaced') seen.set(mid, now)
    if (before === undefined) return
    const ways = `${before.way}, then ${now.way}`
    const isRepeated = hasKey && tries.length > 1
    const wasElsewhere = isRepeated && tries.some(({ life }) => life.node !== this.#life.node)
    if (before.way === 'unplaced' && now.way === 'recovered') this.#verdict.count(`twice: ${ways}`)
    else if (before.way === 'unplaced' && wasElsewhere) this.#verdict.count('twice: repeated at another node')
    else if (isRepeated && this.#verdict.mayHaveLost(before.atMs, event.atMs))
      this.#verdict.count('twice: the mark was lost')
    else {
      const places = [before, now].map(({ position }) => position?.offset ?? 'none').join(', then ')
      this.#violate('twice', event, `${mid}: ${ways}; offset ${places}; sent ${tries.length} times`, mid)
    }
  }

  /** Byte for byte what was sent, with the server's own fields. */
  #alteration({ text, envelope }: Event, message: Message): string | undefined {
    const { from, at, offset } = envelope
    const sender = this.#story.clients.get(from?.client ?? '')
    if (sender === undefined || !message.tries.some(({ life }) => life === sender))
      return 'another has sent it'
    const room = message.room === undefined ? '' : `"room":${JSON.stringify(message.room)},`
    const by = JSON.stringify({ client: from?.client, user: message.person })
    const end = offset === undefined ? '' : `,"offset":${offset}`
    const due = `{"type":"message",${room}"content":${message.content},"from":${by},"at":${at}${end}}`
    return text === due ? undefined : 'its text is not what was sent'
  }
}
