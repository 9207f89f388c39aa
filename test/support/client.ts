// A comfortable JSON client on a raw socket. It waits for events and proves silence with a ping as a fence.
import type { NetConnectOpts } from 'node:net'
import { type Frame, OPCODE } from './frames.ts'
import {
  type Address,
  type Close,
  parseClose,
  type RawOptions,
  RawSocket,
  upgradeRequest,
} from './raw-socket.ts'
import { type Claims, tokenFor } from './token.ts'

export interface Envelope {
  type: string
  [key: string]: unknown
}
export type Match = string | ((envelope: Envelope) => boolean)

export interface ConnectOptions extends RawOptions {
  /** A ready token instead of one made from the claims. */
  token?: string
  lines?: string[]
  /** Answer the server's Close, as a well-behaved client does (default true). */
  answerClose?: boolean
  deadlineMs?: number
}

/** Connects as user `sub` and waits for the welcome. */
export async function connect(
  address: Address,
  sub = 'user',
  claims: Claims = {},
  options: ConnectOptions = {},
): Promise<Client> {
  const token = options.token ?? tokenFor(sub, claims)
  const socket = await RawSocket.open(address, {
    ...options,
    record: false,
    // A well-behaved client ends its side when the server has ended its own.
    tcp: { allowHalfOpen: false, ...options.tcp } as Partial<NetConnectOpts>,
  })
  const client = new Client(socket, options)
  socket.write(upgradeRequest(`/ws?token=${token}`, options))
  const { status, body } = await socket.answer(options.deadlineMs)
  if (status !== 101) {
    socket.destroy()
    throw new Error(`refused: ${status} ${body}`)
  }
  client.welcome = await client.next('welcome', options.deadlineMs)
  return client
}

let lastId = 0

export class Client {
  readonly socket: RawSocket
  welcome: Envelope = { type: 'none' }
  /** Every envelope read so far. */
  readonly received: Envelope[] = []
  /** Called with each envelope as it is read. */
  onEnvelope: ((envelope: Envelope) => void) | undefined
  /** How many were read, also by a client that does not record. */
  count = 0
  readonly #texts = new WeakMap<Envelope, string>()
  readonly #answers = new WeakSet<Envelope>()
  readonly #record: boolean
  readonly #answersClose: boolean
  #closeFrame: Frame | undefined
  #cursor = 0

  constructor(socket: RawSocket, { record = true, answerClose = true }: ConnectOptions = {}) {
    this.socket = socket
    this.#record = record
    this.#answersClose = answerClose
    socket.onFrame = (frame) => this.#onFrame(frame)
  }

  /** The id the server gave this client. */
  get id(): string {
    return String(this.welcome.client)
  }

  #onFrame(frame: Frame): void {
    if (frame.opcode === OPCODE.close) {
      this.#closeFrame ??= frame
      if (this.#answersClose) this.socket.sendFrame(OPCODE.close, frame.payload.subarray(0, 2))
    }
    if (frame.opcode !== OPCODE.text) return
    const text = frame.payload.toString('utf8')
    if (!Buffer.from(text).equals(frame.payload)) throw new Error('the server sent bad UTF-8')
    const envelope = JSON.parse(text) as Envelope
    this.count++
    this.#texts.set(envelope, text)
    // The welcome is kept also in a crowd: `connect` waits for it.
    if (this.#record || this.count === 1) this.received.push(envelope)
    this.onEnvelope?.(envelope)
  }

  /** The text of an envelope as it was on the wire. */
  text(envelope: Envelope): string {
    return this.#texts.get(envelope) ?? ''
  }

  /** Sends an object as JSON, a string as it stands. */
  send(envelope: Envelope | string): void {
    this.socket.sendText(typeof envelope === 'string' ? envelope : JSON.stringify(envelope))
  }

  /** The next envelope that matches (a type, or a predicate); those passed over count as read. */
  async next(match: Match, deadlineMs?: number): Promise<Envelope> {
    const test = typeof match === 'string' ? (envelope: Envelope) => envelope.type === match : match
    let at = this.#cursor
    const found = await this.socket.until(
      () => `${String(match)}; unread: ${JSON.stringify(this.#unanswered(this.#cursor)).slice(0, 500)}`,
      () => {
        for (; at < this.received.length; at++) {
          const envelope = this.received[at] as Envelope
          if (!this.#answers.has(envelope) && test(envelope)) return { envelope, at }
        }
        return this.#stillOpen()
      },
      deadlineMs,
    )
    this.#cursor = Math.max(this.#cursor, found.at + 1)
    return found.envelope
  }

  /** Reads until one matches; resolves with it and all unread ones before it. */
  async collectUntil(match: Match, deadlineMs?: number): Promise<Envelope[]> {
    const from = this.#cursor
    await this.next(match, deadlineMs)
    return this.#unanswered(from, this.#cursor)
  }

  #unanswered(from: number, to?: number): Envelope[] {
    return this.received.slice(from, to).filter((envelope) => !this.#answers.has(envelope))
  }

  /** Fails a wait at once when nothing can come any more. */
  #stillOpen(): undefined {
    if (!this.socket.end) return undefined
    const close = this.#closeFrame && parseClose(this.#closeFrame)
    throw new Error(`the connection ended (${this.socket.end}, Close ${close?.code} ${close?.reason})`)
  }

  /**
   * A ping and its pong. Requests are answered in order, so whatever the server had for this client before is
   * here now; resolves with what was unread, the pong left out.
   */
  async fence(deadlineMs?: number): Promise<Envelope[]> {
    const id = `fence-${++lastId}`
    const from = this.#cursor
    this.send({ type: 'ping', id })
    await this.next((envelope) => envelope.type === 'pong' && envelope.id === id, deadlineMs)
    return this.#unanswered(from, this.#cursor - 1)
  }

  /** Sends a request with an id and waits for the reply that carries it; `next` never sees that reply. */
  async request(envelope: Envelope, deadlineMs?: number): Promise<Envelope> {
    const id = envelope.id ?? `request-${++lastId}`
    let at = this.received.length
    this.send({ ...envelope, id })
    const reply = await this.socket.until(
      () => `a reply to ${JSON.stringify(envelope).slice(0, 200)}`,
      () => {
        for (; at < this.received.length; at++) {
          if (this.received[at]?.id === id) return this.received[at]
        }
        return this.#stillOpen()
      },
      deadlineMs,
    )
    this.#answers.add(reply)
    return reply
  }

  join(room: string, deadlineMs?: number): Promise<Envelope> {
    return this.#expect({ type: 'join', room }, 'joined', deadlineMs)
  }

  leave(room: string): Promise<Envelope> {
    return this.#expect({ type: 'leave', room }, 'left')
  }

  /** Publishes to a room (or to everybody, without one) and waits for the ack. */
  publish(room: string | undefined, content: unknown, more: Record<string, unknown> = {}): Promise<Envelope> {
    return this.#expect({ type: 'message', ...(room !== undefined && { room }), content, ...more }, 'ack')
  }

  async #expect(envelope: Envelope, type: string, deadlineMs?: number): Promise<Envelope> {
    const reply = await this.request(envelope, deadlineMs)
    if (reply.type !== type) throw new Error(`${type} expected, got ${JSON.stringify(reply)}`)
    return reply
  }

  /** Publishes without an id: nothing comes back. */
  say(room: string | undefined, content: unknown): void {
    this.send({ type: 'message', ...(room !== undefined && { room }), content })
  }

  /** The server's Close. */
  async closed(deadlineMs?: number): Promise<Close> {
    const frame = await this.socket.until('a Close', () => this.#closeFrame ?? this.#stillOpen(), deadlineMs)
    return parseClose(frame)
  }

  /** Closes politely and waits until the server has ended TCP. */
  async close(): Promise<void> {
    if (!this.socket.end) {
      this.socket.sendClose(1000)
      await this.socket.ended()
    }
    this.socket.destroy()
  }
}
