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
  publish(room: string, content: unknown, keep: boolean): Promise<Ack>
  history(room: string, limit: number | undefined): Promise<Message[]>
  /** Joins on the link that there is, or as soon as there is one. */
  join(room: HubRoom): void
  forget(room: HubRoom): void
  /** Whether a client is one of this hub's own, and what it says is not to be shown. */
  isHidden(client: string): boolean
}

/** A room's membership over all connections: its position, and what the application has seen. */
export class HubRoom implements Room {
  readonly name: string
  readonly options: RoomOptions
  /** The link that its messages come on. */
  link: Link | undefined
  /** The link on which a join has no answer yet; what comes there until then is not new. */
  joining: Link | undefined
  /** What the application has seen. */
  position: Position | undefined
  users: readonly User[] | undefined
  count: number | undefined
  /** The server's answer to the last join, where that was no. */
  refusal: RoomcastError | undefined
  readonly #host: RoomHost
  readonly #events = new Emitter<RoomEvents<unknown>>()
  readonly #readers = new Set<Reader<Message>>()
  /** Of messages without an offset. */
  readonly #early = new Set<string>()
  #hasJoined = false

  constructor(name: string, options: RoomOptions, host: RoomHost) {
    this.name = name
    this.options = options
    this.#host = host
  }

  get isJoined(): boolean {
    return this.link !== undefined
  }

  publish(content: unknown, { keep = true }: { keep?: boolean } = {}): Promise<Ack> {
    return this.#host.publish(this.name, content, keep)
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
    for (const reader of [...this.#readers]) reader.end()
  }

  [Symbol.asyncIterator](): AsyncIterator<Message> {
    return read(this.#readers)
  }

  /** What a join says: with the position that there is, the rest follows. */
  get request(): object {
    const { name: room, position, options } = this
    const { last, presence } = options
    return {
      ...{ type: 'join', room },
      ...(position && { since: { ...position } }),
      ...(last && { last }),
      ...(presence && { presence }),
    }
  }

  onJoined({ epoch, offset, recovered, missed = 0, scope }: Joined, link: Link, had: boolean): void {
    const { last, reload } = this.options
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
    if (!isWhole) reload?.()
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
      this.#early.add(nameOf(message))
      if (this.#early.size > EARLY) for (const oldest of this.#early) if (this.#early.delete(oldest)) break
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
      this.options.reload?.()
    } else this.heal()
  }

  onPresence({ count, users, more }: Presence): void {
    this.#tell(count, more ? undefined : users)
  }

  onMember({ count, entered = [], left = [] }: Member): void {
    if (this.users === undefined || entered.length + left.length === 0) {
      this.#tell(count, entered.length + left.length === 0 ? undefined : this.users)
      return
    }
    const users = new Map(this.users.map((one) => [one.user, one]))
    for (const user of left) users.delete(user)
    for (const one of entered) users.set(one.user, one)
    this.#tell(count, [...users.values()])
  }

  /** The server says no, or has put us out; another connection may have more luck. */
  onRefused(error: RoomcastError): void {
    this.link = this.joining = undefined
    this.refusal = error
    this.#events.emit('left', error)
    for (const reader of [...this.#readers]) reader.end(error)
  }

  onClosed(error: RoomcastError): void {
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
function nameOf({ from, at, content }: Message): string {
  return `${from.client} ${at} ${JSON.stringify(content)}`
}
