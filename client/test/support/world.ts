// A world of the test's own: its clock, its network, and a server that does what the test says.
import { setImmediate as turn } from 'node:timers/promises'
import type { FromClient } from '../../../src/protocol/wire.ts'
import type { RoomcastError } from '../../src/errors.ts'
import { HubClient } from '../../src/hub-client.ts'
import type { Platform } from '../../src/platform.ts'
import type { Hub, HubOptions } from '../../src/types.ts'

type Sent = FromClient & { id: number; key?: string; content?: unknown; room: string; since?: object }

/** The client's end of a connection, and what the test plays of the server's. */
export class FakeSocket {
  readonly url: string
  readyState = 0
  onopen: (() => void) | null = null
  onmessage: ((event: { data: unknown }) => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null
  onerror: (() => void) | null = null
  readonly sent: Sent[] = []
  closedWith: number | undefined
  readonly #world: World

  constructor(url: string, world: World) {
    this.url = url
    this.#world = world
  }

  send(text: string): void {
    const envelope = JSON.parse(text) as Sent
    this.sent.push(envelope)
    // A server answers later, if not by much.
    queueMicrotask(() => this.#world.onSent(envelope, this))
  }

  close(code: number): void {
    this.closedWith = code
    this.readyState = 3
  }

  get token(): string | null {
    return new URL(this.url).searchParams.get('token')
  }

  /** The handshake is done, and the server has welcomed. */
  accept(more: object = {}): this {
    this.readyState = 1
    this.onopen?.()
    this.say({
      ...{ type: 'welcome', client: `c${this.#world.sockets.length}`, user: 'ada', node: 'n' },
      ...{ pingIntervalMs: 20_000, maxMessageBytes: 100_000, ...more },
    })
    return this
  }

  say(envelope: object): void {
    this.onmessage?.({ data: JSON.stringify(envelope) })
  }

  message(room: string, offset: number | undefined, content: unknown = offset, more: object = {}): void {
    const from = { client: 'other', user: 'bob' }
    this.say({
      type: 'message',
      room,
      content,
      from,
      at: 1,
      ...(offset !== undefined && { offset }),
      ...more,
    })
  }

  /** The server's Close, or a loss (1006). Before `accept` it is a refusal. */
  end(code = 1006, reason = ''): void {
    this.readyState = 3
    this.onclose?.({ code, reason })
  }

  of(type: string): Sent[] {
    return this.sent.filter((envelope) => envelope.type === type)
  }
}

/** How the server answers by itself, unless a test says otherwise. */
export type Play = (envelope: Sent, socket: FakeSocket) => void

export class World implements Platform {
  readonly sockets: FakeSocket[] = []
  /** What was asked by plain HTTP. */
  readonly asked: { url: string; init: RequestInit | undefined }[] = []
  nowMs = 0
  randomly = 0.5
  onSent: Play = ({ type, id }, socket) => {
    if (type === 'ping') socket.say({ type: 'pong', id })
  }
  fetch: typeof fetch | undefined = (async (url: string, init?: RequestInit) => {
    this.asked.push({ url, init })
    throw new TypeError('no network')
  }) as typeof fetch
  WebSocket: Platform['WebSocket']
  readonly timers = new Map<number, { atMs: number; then: () => void }>()
  readonly #wakers = new Set<() => void>()
  #timer = 0

  constructor() {
    const world = this
    this.WebSocket = class {
      constructor(url: string) {
        const socket = new FakeSocket(url, world)
        world.sockets.push(socket)
        // biome-ignore lint/correctness/noConstructorReturn: the world's own socket stands in for the platform's.
        return socket as never
      }
    } as never
  }

  readonly now = () => this.nowMs
  readonly random = () => this.randomly
  readonly setTimeout = (then: () => void, ms: number) => {
    this.timers.set(++this.#timer, { atMs: this.nowMs + ms, then })
    return this.#timer
  }
  readonly clearTimeout = (timer: unknown) => void this.timers.delete(timer as number)
  readonly onWake = (listener: () => void) => {
    this.#wakers.add(listener)
    return () => void this.#wakers.delete(listener)
  }

  get listeners(): number {
    return this.#wakers.size
  }

  wake(): void {
    for (const listener of [...this.#wakers]) listener()
  }

  get socket(): FakeSocket {
    const socket = this.sockets.at(-1)
    if (socket === undefined) throw new Error('there is no socket yet')
    return socket
  }

  /** Whatever is due now has happened. */
  async settle(): Promise<void> {
    for (let round = 0; round < 5; round++) {
      await import('../../src/fallback.ts')
      await turn()
    }
  }

  /** Time goes by, timer by timer. */
  async pass(ms: number): Promise<void> {
    const end = this.nowMs + ms
    for (;;) {
      await this.settle()
      const due = [...this.timers]
        .filter(([, { atMs }]) => atMs <= end)
        .sort((a, b) => a[1].atMs - b[1].atMs)[0]
      if (due === undefined) break
      this.nowMs = Math.max(this.nowMs, due[1].atMs)
      this.timers.delete(due[0])
      due[1].then()
    }
    this.nowMs = end
    await this.settle()
  }

  /** The page sleeps: time goes by, and all timers that were due fire late, at once. */
  async sleep(ms: number): Promise<void> {
    this.nowMs += ms
    await this.pass(0)
  }

  connect(options: Partial<HubOptions> = {}, url = 'https://rc.example/'): HubClient & Hub {
    return new HubClient(new URL(url), { token: 'token', ...options }, this) as HubClient & Hub
  }

  /** The node says that it goes: the connection that is left, and the next one, which is not open yet. */
  async drain(): Promise<[old: FakeSocket, next: FakeSocket]> {
    const old = this.socket
    old.say({ type: 'closing', reconnectInMs: 100, handoverMs: 5_000 })
    await this.pass(150)
    return [old, this.socket]
  }

  /** A hub whose first connection is open. */
  async open(options: Partial<HubOptions> = {}): Promise<HubClient & Hub> {
    const hub = this.connect(options)
    await this.settle()
    this.socket.accept()
    await this.settle()
    return hub
  }
}

/** A server that lets everybody in and acks everything, in one epoch. */
export function kindServer(offset = 0): Play {
  const ends = new Map<string, number>()
  return (envelope, socket) => {
    const { type, id, room } = envelope
    if (type === 'ping') socket.say({ type: 'pong', id })
    if (type === 'join') {
      const end = ends.get(room) ?? offset
      ends.set(room, end)
      const since = envelope.since as { offset: number } | undefined
      socket.say({
        ...{ type: 'joined', id, room, epoch: 'e', offset: end },
        ...(since && { recovered: true, missed: end - since.offset }),
      })
    }
    if (type === 'message') {
      const end = (ends.get(room) ?? offset) + 1
      if (envelope.keep !== false) ends.set(room, end)
      socket.say({ type: 'ack', id, room, scope: 'cluster', ...(envelope.keep !== false && { offset: end }) })
    }
    if (type === 'leave') socket.say({ type: 'left', id, room })
    if (type === 'call') socket.say({ type: 'result', id, result: envelope.params ?? null })
  }
}

/** How a promise has ended, or `pending`. */
export async function ending(world: World, promise: Promise<unknown>): Promise<unknown> {
  let end: unknown = 'pending'
  promise.then(
    (value) => {
      end = { value }
    },
    (error: RoomcastError) => {
      end = error
    },
  )
  await world.settle()
  return end
}
