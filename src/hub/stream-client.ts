import type { Identity } from '../auth/permissions.ts'
import type { Position } from '../protocol/envelope.ts'
import { encodePositions } from '../protocol/positions.ts'
import { Client, type ClientContext, type Transport } from './client.ts'
import { envelopeOf, eventFrameOf } from './event-frame.ts'
import type { Socket } from './socket.ts'

/** A comment: clients pass over it, and proxies see that the stream is alive. */
const COMMENT = Buffer.from(':\n\n')
const END = Buffer.from('\n')
/** No room's name has a control character, so no room's frames get among a stream's. */
const STREAMS = '\n'

/**
 * A client that reads server-sent events (HTML Living Standard, section 9.2). It is told what a WebSocket is told, each
 * envelope as an event; the id of a message stands for the positions of all its rooms.
 */
export class StreamClient extends Client {
  /** Objects of its own, which move on. */
  readonly #positions: Map<string, Position>
  #strand: string | undefined
  #strandRoom: string | undefined
  #signs = 0

  /** `since` are the positions that it comes with. */
  constructor(
    socket: Socket,
    identity: Identity,
    context: ClientContext,
    since: ReadonlyMap<string, Position>,
  ) {
    super(socket, identity, context)
    this.#positions = new Map(Array.from(since, ([room, position]) => [room, { ...position }]))
  }

  override get transport(): Transport {
    return 'stream'
  }

  override send(frame: Buffer, room: string | undefined): boolean {
    const framed = eventFrameOf(frame)
    const position = room === undefined ? undefined : this.#positions.get(room)
    const strand = this.#strandOf(room)
    if (framed.offset === undefined || position === undefined) {
      const isSent = super.send(framed.event, room, strand)
      if (isSent) this.#endEvent(undefined)
      return isSent
    }
    const { offset: before } = position
    // What is dropped moves nothing: who comes back with the last id gets it.
    position.offset = framed.offset
    const isShared = this.#positions.size === 1
    const event = isShared ? framed.whole(position.epoch, () => this.#id) : framed.event
    const isSent = super.send(event, room, strand)
    if (!isSent) position.offset = before
    else if (!isShared) this.#endEvent(this.#id)
    return isSent
  }

  /** Most streams have one room, whose name need not be put together for each message. */
  #strandOf(room: string | undefined): string {
    if (this.#strand === undefined || room !== this.#strandRoom) {
      this.#strandRoom = room
      this.#strand = `${STREAMS}${room ?? ''}`
    }
    return this.#strand
  }

  override sendPing(): void {
    if (!this.isOpen) return
    this.pulse.pinged(this.context.clock.steadyMs())
    super.control(COMMENT)
  }

  /** Nothing comes from it: as long as the kernel takes what is written, it counts as there. */
  override lifeSign(): number {
    return super.lifeSign() + (this.isBehind ? this.#signs : ++this.#signs)
  }

  /** An answer, a notice, or a message that was missed. */
  protected override control(frame: Buffer): void {
    const envelope = envelopeOf(frame)
    const { event } = eventFrameOf(frame)
    const room = typeof envelope.room === 'string' ? envelope.room : undefined
    const id = room === undefined ? undefined : this.#idAfter(envelope, room)
    super.control(event)
    this.#endEvent(id)
    if (envelope.type === 'closing')
      super.control(Buffer.from(`retry: ${String(envelope.reconnectInMs)}\n\n`))
  }

  #endEvent(id: string | undefined): void {
    super.control(id === undefined ? END : Buffer.from(`id: ${id}\n\n`))
  }

  /** The text for all positions when an envelope about a room has been read; undefined where it changes none. */
  #idAfter(envelope: Record<string, unknown>, room: string): string | undefined {
    const { type, epoch, offset, recovered, missed } = envelope
    if (type === 'message') return typeof offset === 'number' ? this.#moveTo(room, offset) : undefined
    if (type === 'left') this.#positions.delete(room)
    // One that recovers goes on from where it was, with the messages that follow.
    else if ((type === 'joined' && recovered !== true) || type === 'reset') {
      // What is asked for by `last` follows, and is not there before it has come.
      if (typeof epoch === 'string' && typeof offset === 'number')
        this.#positions.set(room, { epoch, offset: offset - (typeof missed === 'number' ? missed : 0) })
      else this.#positions.delete(room)
    } else return undefined
    return this.#id
  }

  get #id(): string {
    return encodePositions(this.#positions)
  }

  #moveTo(room: string, offset: number): string | undefined {
    const position = this.#positions.get(room)
    if (position === undefined) return undefined
    this.#positions.set(room, { epoch: position.epoch, offset })
    return this.#id
  }
}
