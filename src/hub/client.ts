import type { Identity, Permissions } from '../auth/permissions.ts'
import type { Clock } from '../clock.ts'
import type { Asking } from '../hooks/hooks.ts'
import { encode } from '../protocol/codec.ts'
import { type CloseName, closeCodes } from '../protocol/codes.ts'
import type { Outbound } from '../protocol/envelope.ts'
import type { Cause, FrameFault } from './cause.ts'
import { newClientId } from './client-id.ts'
import { type ClientStats, statsOf } from './client-stats.ts'
import type { Counters } from './counters.ts'
import { pingFrame, pongFrame, textFrame } from './frame.ts'
import { Pulse, type Watched } from './heartbeat.ts'
import { Outbox } from './outbox.ts'
import type { RoomRates } from './room-rates.ts'
import type { Socket } from './socket.ts'
import type { Turn } from './turn.ts'
import { UntoldDrops } from './untold-drops.ts'
import { WritePump } from './write-pump.ts'

/** A client that the server ends has this long for what is on its way and for its Close. */
const CLOSE_DEADLINE_MS = 2000

export type SlowPolicy = 'disconnect' | 'drop'

export type Transport = 'websocket' | 'stream'

/** What a client needs of its hub. */
export interface ClientContext {
  readonly clock: Clock
  readonly turn: Turn
  readonly outboxMaxBytes: number
  readonly slowClient: SlowPolicy
  readonly counters: Counters
  /** The number of a membership that begins now (EarlyMemory). */
  arrive(): number
  /** The client is closing: it leaves all rooms and counts at once. */
  onClosing(client: Client, cause: Cause): void
  /** The socket is gone. */
  onClosed(client: Client): void
  onDropped(client: Client): void
}

/** The hub's side of one socket. One user may have many. */
export class Client implements Watched {
  /** Random, so that no client can guess or displace another. */
  readonly id = newClientId()
  readonly user: string
  /** Whose its publish keys are: the user's, or its own where the user is a name that strangers share. */
  readonly keyOwner: string
  /** What its token says of it; the hub alone gives it another (`renew`). */
  identity: Identity
  readonly rooms = new Set<string>()
  /** What it has published into rooms with a rate; undefined for none. */
  roomRates: RoomRates | undefined
  /** Whether it connects elsewhere before it goes, when it is told of a drain. */
  handsOver = false
  /** That of its membership in what goes to everybody. */
  readonly number: number
  readonly pulse = new Pulse()
  readonly connectedAt: number
  messagesIn = 0
  messagesOut = 0
  drops = 0
  /** The question to a hook about its last request; it ends with the client. */
  asking: Asking | undefined
  protected readonly context: ClientContext
  readonly #socket: Socket
  readonly #outbox: Outbox
  readonly #pump: WritePump
  #state: 'open' | 'closing' | 'closed' = 'open'
  /** Undefined for the many clients that never miss anything. */
  #untold: UntoldDrops | undefined
  #deadline: NodeJS.Timeout | undefined
  #onProgress: (() => void) | undefined

  constructor(socket: Socket, identity: Identity, context: ClientContext) {
    this.user = identity.user
    this.keyOwner = identity.isNameless ? this.id : identity.user
    this.identity = identity
    this.connectedAt = context.clock.wallMs()
    this.number = context.arrive()
    this.context = context
    this.#socket = socket
    this.#outbox = new Outbox(context.outboxMaxBytes, context.turn)
    this.#pump = new WritePump(socket, this.#outbox, context.turn, this)
  }

  get transport(): Transport {
    return 'websocket'
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  get permissions(): Permissions {
    return this.identity.permissions
  }

  /** Unix time in milliseconds; Infinity when the token does not expire. */
  get expiresAt(): number {
    return this.identity.expiresAt
  }

  /** The user's public data, as JSON text; undefined for a token without. */
  get info(): string | undefined {
    return this.identity.info
  }

  /**
   * Sends a room's message, or does to a slow client what the policy says. Nobody waits for it. `strand` names those
   * who get the same bytes, where that is not all of the room. Returns whether it will get it.
   */
  send(frame: Buffer, room: string | undefined, strand = room): boolean {
    if (this.#state !== 'open') return false
    if (this.#pump.pushShared(frame, strand)) {
      this.messagesOut++
      return true
    }
    if (this.context.slowClient === 'drop') {
      this.#drop(room)
    } else {
      this.disconnect('tooSlow', 'too slow')
    }
    return false
  }

  /** Sends a message that was missed. It is an answer: a recovery must not have a hole. */
  recover(frame: Buffer): void {
    this.messagesOut++
    this.control(frame)
  }

  /** Sends a notice that others get too, framed once for all. */
  notify(frame: Buffer): void {
    this.control(frame)
  }

  /** Sends an answer or a notice, as an envelope or as its text. These are never dropped: a client that lets them pile up is ended. */
  reply(envelope: Outbound | string): void {
    if (typeof envelope !== 'string' && envelope.type === 'error')
      this.context.counters.errors[envelope.code]++
    this.control(textFrame(typeof envelope === 'string' ? envelope : encode(envelope)))
  }

  pong(payload: Uint8Array): void {
    this.control(pongFrame(payload))
  }

  sendPing(sequence: number): void {
    // Behind a backlog a ping proves nothing: there, the peer's taking it up is the sign of life.
    if (this.#state !== 'open' || this.#pump.isStuck) return
    this.pulse.pinged(this.context.clock.steadyMs())
    const payload = Buffer.allocUnsafe(4)
    payload.writeUInt32BE(sequence)
    this.control(pingFrame(payload))
  }

  ponged(payload: Buffer): void {
    const sequence = payload.length === 4 ? payload.readUInt32BE() : 0
    const roundTripMs = this.pulse.ponged(sequence, this.context.clock.steadyMs())
    if (roundTripMs !== undefined) this.context.counters.roundTrips.add(roundTripMs)
  }

  lifeSign(): number {
    return this.#socket.bytesRead + this.#pump.drains
  }

  onExpired(): void {
    this.disconnect('tokenExpired', 'token expired')
  }

  /** The heartbeat looks ten times a second; what comes in between must not pass. */
  endIfExpired(nowMs: number): void {
    if (nowMs >= this.expiresAt) this.onExpired()
  }

  onSilent(): void {
    this.#begin('silent')
    this.#socket.destroy()
  }

  /** Ends the client with a Close; what waits for one that keeps up is sent first. `reason` is ASCII, 123 bytes at most. */
  disconnect(name: CloseName, reason: string): void {
    if (!this.#begin(name)) return
    // A drain has a deadline of its own, for all clients.
    if (name !== 'goingAway') this.#destroySoon()
    const close = () => this.#socket.close(closeCodes[name].code, reason)
    if (this.#pump.isStuck && name !== 'goingAway') {
      this.#pump.abandon()
      close()
    } else {
      this.#pump.finish(close)
    }
  }

  /** The socket starts closing, by the peer's Close, its fault or us: nothing but the Close may follow what is flushed now. */
  socketClosing(cause: FrameFault | 'peer' = 'peer'): void {
    if (this.#begin(cause)) this.#pump.flush()
    // Also when it was closing before, and what waits was still to be sent: a Close must not get in between.
    if (this.#outbox.blocked) this.#pump.abandon()
  }

  socketClosed(): void {
    this.#begin('lost')
    if (this.#state === 'closed') return
    this.#state = 'closed'
    clearTimeout(this.#deadline)
    this.context.onClosed(this)
  }

  destroy(): void {
    this.#begin('goingAway')
    this.#socket.destroy()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  /** Whether the socket has not taken all that was written to it. */
  get isBehind(): boolean {
    return this.#outbox.blocked
  }

  /** Whether so much waits for the client that nothing more should be asked for. */
  get isFull(): boolean {
    return this.#outbox.bytes > this.context.outboxMaxBytes
  }

  /** Resolves when the socket has taken something, or the client is closing. */
  progress(): Promise<void> {
    return new Promise((resolve) => {
      this.#onProgress = resolve
      // Else the end of the turn shows whether it is blocked.
      if (!this.#outbox.blocked) setImmediate(resolve)
    })
  }

  /** Told by the write pump: a client that had a backlog has none left. */
  caughtUp(): void {
    this.#onProgress?.()
    if (this.#state === 'open') this.#untold?.tellAll()
  }

  /** It leaves a room: what it has missed there is said ahead of that, and not kept for a client that may never read. */
  leaving(room: string): void {
    this.#untold?.tell(room)
  }

  get bytesIn(): number {
    return this.#socket.bytesRead
  }

  get bytesOut(): number {
    return this.#socket.bytesWritten
  }

  /** What waits here; what the socket itself still holds comes on top. */
  get outboxBytes(): number {
    return this.#outbox.bytes
  }

  stats(): ClientStats {
    return statsOf(this, this.context.clock)
  }

  protected control(frame: Buffer): void {
    if (this.#state === 'open' && !this.#pump.pushOwn(frame)) this.disconnect('tooSlow', 'too slow')
  }

  #drop(room: string | undefined): void {
    this.drops++
    this.#untold ??= new UntoldDrops((room, count) =>
      this.reply({ type: 'dropped', ...(room !== undefined && { room }), count }),
    )
    this.#untold.add(room)
    this.context.onDropped(this)
  }

  /** Whatever the peer does, its descriptor is given back. */
  #destroySoon(): void {
    this.#deadline = setTimeout(() => this.#socket.destroy(), CLOSE_DEADLINE_MS)
    this.#deadline.unref()
  }

  /** Leaves the open state; false when that has happened before. */
  #begin(cause: Cause): boolean {
    if (this.#state !== 'open') return false
    this.#state = 'closing'
    this.#onProgress?.()
    this.asking?.end()
    this.context.onClosing(this, cause)
    return true
  }
}
