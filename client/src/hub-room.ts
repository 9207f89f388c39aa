import type {
  Joined,
  Member,
  Position,
  Presence,
  Reset,
  Message as WireMessage,
} from '../../src/protocol/wire.ts'
import { Emitter } from './emitter.ts'
import type { RoomcastError } from './errors.ts'
import type { Link } from './link.ts'
import { type Reader, read } from './reader.ts'
import type { Ack, Message, Room, RoomEvents, RoomOptions, User } from './types.ts'

/** Messages without an offset that are remembered, to know them again. */
const EARLY = 256

/** What a room asks of its hub. */
export interface RoomHost {
  publish(room: HubRoom, content: unknown, keep: boolean): Promise<Ack>
  history(room: string, limit: number | undefined): Promise<Message[]>
  /** Joins on the link that there is, or as soon as there is one. */
  join(room: HubRoom): void
  forget(room: HubRoom): void
  /** Whether a client is one of this hub's own, and what it says is not to be shown. */
  isHidden(client: string): boolean
}

/** A room's membership over all connections: its position, and what the application has seen. */
export class HubRoom implements Room {
  declare readonly name: string
  declare readonly options: RoomOptions
  /** The link that its messages come on. */
  declare link: Link | undefined
  /** The link on which a join has no answer yet; what comes there until then is not new. */
  declare joining: Link | undefined
  /** What the application has seen. */
  declare position: Position | undefined
  declare users: readonly User[] | undefined
  declare count: number | undefined
  /** The server's answer to the last join, where that was no. */
  declare refusal: RoomcastError | undefined
  readonly #host: RoomHost
  readonly #events = new Emitter<RoomEvents<unknown>>()
  readonly #readers = new Set<Reader<Message>>()
  /** Set once nothing comes any more, with the reason if that is for the loops to tell. */
  #over: { error?: Error } | undefined
  /** Of messages without an offset. */
  readonly #early = new Set<string>()
  #hasJoined = false

  constructor(name: string, options: RoomOptions, host: RoomHost) {
    this.name = name
    this.options = options
    this.#host = host
    // A listener like others: what it throws is its page's.
    this.#events.on('joined', ({ recovered }) => recovered || options.reload?.())
  }

  get isJoined(): boolean {
    return this.link !== undefined
  }

  publish(content: unknown, { keep = true }: { keep?: boolean } = {}): Promise<Ack> {
    return this.#host.publish(this, content, keep)
  }

  history({ limit }: { limit?: number } = {}): Promise<Message[]> {
    return this.#host.history(this.name, limit)
  }

  on<Name extends keyof RoomEvents<unknown>>(
    name: Name,
    listener: (event: RoomEvents<unknown>[Name]) => void,
  ): () => void {
    return this.#events.on(name, listener)
  }

  leave(): void {
    this.#host.forget(this)
    this.#end()
    this.#over = {}
  }

  [Symbol.asyncIterator](): AsyncIterator<Message> {
    return read(this.#readers, this.#over)
  }

  /** What a join says: with the position that there is, the rest follows. */
  get request(): object {
    const { name: room, position: since, options } = this
    const { last, presence } = options
    return { type: 'join', room, since, last: last || undefined, presence: presence || undefined }
  }

  onJoined({ epoch, offset, recovered, missed = 0, scope }: Joined, link: Link, had: boolean): void {
    const { last } = this.options
    this.link = link
    this.joining = undefined
    this.refusal = undefined
    const isWhole = !this.#hasJoined || (had && recovered === true)
    if (!(had && recovered))
      this.position =
        epoch === undefined || offset === undefined
          ? undefined
          : { epoch, offset: offset - (last ? missed : 0) }
    this.#hasJoined = true
    this.#events.emit('joined', { recovered: isWhole, missed, scope: scope ?? 'cluster' })
  }

  onMessage({ type: _, room: __, ...message }: WireMessage, link: Link): void {
    // Until the join is answered, what comes is about to come again.
    if (link !== this.link || this.joining === link) return
    if (this.#isOld(message) || this.#host.isHidden(message.from.client)) return
    this.#events.emit('message', message)
    for (const reader of [...this.#readers]) reader.push(message)
  }

  /** Moves the position on; true for what the application has seen, or is to see later in its place. */
  #isOld(message: Message): boolean {
    const { offset } = message
    const { position } = this
    if (offset === undefined) {
      // While the bridge is away; from the history it comes again, with its offset.
      remember(this.#early, nameOf(message), EARLY)
      return false
    }
    if (position !== undefined) {
      if (offset <= position.offset) return true
      if (offset > position.offset + 1) {
        this.heal()
        return true
      }
      position.offset = offset
    }
    return this.#early.size > 0 && this.#early.delete(nameOf(message))
  }

  /** Something is missing: the server brings what lies behind the position once more. */
  heal(): void {
    if (this.joining === undefined) this.#host.join(this)
  }

  onReset({ epoch, offset }: Reset): void {
    // The old position tells the server what we lack; who had none has nothing to compare.
    if (this.position === undefined) {
      this.position = { epoch, offset }
      // Its own fault is not one of the server's.
      queueMicrotask(() => this.options.reload?.())
    } else this.heal()
  }

  onPresence({ count, users, more }: Presence): void {
    this.#tell(count, more ? undefined : users)
  }

  onMember({ count, entered, left }: Member): void {
    // With the count alone they are too many for a list.
    const users =
      entered || left ? this.users && new Map(this.users.map((one) => [one.user, one])) : undefined
    for (const user of left ?? []) users?.delete(user)
    for (const one of entered ?? []) users?.set(one.user, one)
    this.#tell(count, users && [...users.values()])
  }

  /** The server says no, or has put us out; another connection may have more luck. */
  onRefused(error: RoomcastError): void {
    this.refusal = error
    this.#end(error)
    this.#events.emit('left', error)
  }

  /** Nothing comes any more, for good. */
  onClosed(error: RoomcastError): void {
    this.#end(error)
    this.#over = { error }
  }

  #end(error?: RoomcastError): void {
    this.link = this.joining = undefined
    for (const reader of [...this.#readers]) reader.end(error)
  }

  #tell(count: number, users: readonly User[] | undefined): void {
    this.count = count
    this.users = users
    this.#events.emit('presence', { count, users })
  }
}

/** What a message is known by when it comes again. */
export function nameOf({ from, at, content }: Message): string {
  return `${from.client} ${at} ${JSON.stringify(content)}`
}

/** The newest `most`. */
export function remember(names: Set<string>, name: string, most: number): void {
  names.add(name)
  if (names.size > most) for (const oldest of names) if (names.delete(oldest)) break
}
