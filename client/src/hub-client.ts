import type { Refreshed, Result, ToClient, History as WireHistory } from '../../src/protocol/wire.ts'
import { Connection, type ConnectionOwner } from './connection.ts'
import { Emitter } from './emitter.ts'
import { RoomcastError } from './errors.ts'
import { HubRoom, type RoomHost } from './hub-room.ts'
import type { Link } from './link.ts'
import { Outgoing, type Waiting } from './outgoing.ts'
import type { Platform } from './platform.ts'
import { errorOf, Requests } from './requests.ts'
import { TokenSource } from './token-source.ts'
import type { Ack, Hub, HubEvents, HubOptions, Message, RoomOptions, State } from './types.ts'

/** Ids of this hub's own clients that are remembered, to tell its own messages by. */
const OWN_CLIENTS = 100
/** Between looks for publishes that wait for too long. */
const SWEEP_MS = 1000
/** A join that cannot be done at present is tried again. */
const REJOIN_MS = 1000
const PUBLIC_USER = 'anonymous'

/** The hub of docs/CLIENT.md: its rooms, and what waits for an answer, over all its connections. */
export class HubClient implements Hub, RoomHost, ConnectionOwner {
  readonly #platform: Platform
  readonly #options: HubOptions
  readonly #timeoutMs: number
  readonly #connection: Connection
  readonly #events = new Emitter<HubEvents>()
  readonly #rooms = new Map<string, HubRoom>()
  readonly #requests = new Requests()
  readonly #outgoing: Outgoing
  readonly #own = new Set<string>()
  /** Calls that wait for a connection. */
  readonly #calls = new Set<() => void>()
  readonly #timers = new Set<unknown>()
  #isSweeping = false
  #isNameless = false
  #maxBytes = Infinity
  /** Nothing is sent before: the server has said that there was too much. */
  #pausedUntilMs = 0

  constructor(url: URL, options: HubOptions, platform: Platform) {
    const { token, queue = {}, timeoutMs = 10_000 } = options
    const { messages = 1000, bytes = 1024 * 1024, ageMs = 60_000 } = queue
    this.#platform =
      options.WebSocket === undefined ? platform : { ...platform, WebSocket: options.WebSocket }
    this.#options = options
    this.#timeoutMs = timeoutMs
    this.#outgoing = new Outgoing({ messages, bytes, ageMs })
    const tokens = new TokenSource(token, this.#platform, timeoutMs)
    this.#connection = new Connection(url, tokens, this.#platform, timeoutMs, this)
  }

  get state(): State {
    return this.#connection.state
  }

  on<Name extends keyof HubEvents>(name: Name, listener: (event: HubEvents[Name]) => void): () => void {
    return this.#events.on(name, listener)
  }

  room(name: string, options: RoomOptions = {}): HubRoom {
    const known = this.#rooms.get(name)
    if (known !== undefined) return known
    const room = new HubRoom(name, options, this)
    if (this.state.name === 'closed') return room
    this.#rooms.set(name, room)
    this.join(room)
    return room
  }

  async call(method: string, params?: unknown): Promise<unknown> {
    if (this.state.name !== 'open') await this.#whenOpen()
    const { link } = this.#connection
    if (link === undefined) throw offline()
    const asked = this.#requests.ask<Result>(link, { type: 'call', method, params })
    const late = new RoomcastError('timeout', undefined, { maybeDelivered: true })
    return (await this.#inTime(asked, late)).result
  }

  close(): void {
    this.#connection.close('closed')
  }

  // What rooms ask for.

  publish(room: string, content: unknown, keep: boolean): Promise<Ack> {
    return new Promise((resolve, reject) => {
      const text = JSON.stringify(content)
      if (text === undefined) throw new TypeError('no JSON form')
      if (this.state.name === 'closed') throw new RoomcastError('closed', 'hub closed')
      // A character takes three bytes at most.
      if (text.length * 3 > this.#maxBytes && new TextEncoder().encode(text).length > this.#maxBytes)
        throw new RoomcastError('too_large', `over ${this.#maxBytes} bytes`)
      const { refusal } = this.#rooms.get(room) ?? {}
      if (refusal !== undefined) throw refusal
      const { link } = this.#connection
      if (!keep && (link === undefined || !this.#isReady(room, link))) throw offline()
      this.#outgoing.add(room, text, keep, this.#platform.now()).then(resolve, reject)
      this.#flush()
      this.#sweep()
    })
  }

  async history(room: string, limit: number | undefined): Promise<Message[]> {
    const { link } = this.#connection
    if (link === undefined) throw offline()
    const request = { type: 'history', room, ...(limit !== undefined && { limit }) } as const
    const { messages } = await this.#requests.ask<WireHistory>(link, request)
    return messages.map(({ type: _, room: __, ...message }) => message)
  }

  join(room: HubRoom): void {
    const { link } = this.#connection
    if (link === undefined || this.state.name === 'connecting' || room.joining === link) return
    this.#joinOn(room, link)
  }

  forget(room: HubRoom): void {
    if (!this.#rooms.delete(room.name)) return
    const { link } = this.#connection
    link?.send(JSON.stringify({ type: 'leave', room: room.name }))
    this.#outgoing.clear('closed', 'left', room.name)
    room.link = room.joining = undefined
  }

  isHidden(client: string): boolean {
    return this.#options.echo === false && this.#own.has(client)
  }

  // What the connection tells.

  onOpen(link: Link): void {
    for (const room of this.#rooms.values()) this.#joinOn(room, link)
  }

  onState(state: State): void {
    this.#events.emit('state', state)
    if (state.name === 'closed') this.#ended(new RoomcastError('closed', state.why))
  }

  onError(error: Error): void {
    this.#events.emit('error', error)
  }

  onEnvelope(envelope: ToClient, link: Link): void {
    if (this.#requests.answered(envelope)) {
      this.#settleMove()
      return
    }
    if (envelope.type === 'welcome') this.#welcomed(envelope)
    else if (envelope.type === 'closing')
      this.#connection.moveAway(envelope.reconnectInMs, envelope.handoverMs)
    else if (envelope.type === 'message' && envelope.room === undefined) {
      const { type: _, ...message } = envelope
      this.#events.emit('message', message)
    } else if (envelope.type === 'error' && envelope.room === undefined) {
      if (envelope.code === 'rate_limited') this.#pause(link, envelope.retryAfterMs ?? 1000)
    } else this.#ofRoom(envelope, link)
  }

  onEnd(link: Link): void {
    for (const room of this.#rooms.values()) {
      if (room.link === link) room.link = undefined
      if (room.joining === link) room.joining = undefined
    }
    this.#requests.lost(link)
    this.#outgoing.lost(link, this.#isNameless)
    this.#flush()
  }

  async refresh(link: Link, token: string): Promise<number | undefined> {
    // The new one may allow what the old one did not.
    const refused = [...this.#rooms.values()].filter(({ refusal }) => refusal !== undefined)
    const { expiresInMs } = await this.#requests.ask<Refreshed>(link, { type: 'refresh', token })
    for (const room of refused) this.join(room)
    return expiresInMs
  }

  #welcomed({ client, user, maxMessageBytes }: Extract<ToClient, { type: 'welcome' }>): void {
    this.#own.add(client)
    if (this.#own.size > OWN_CLIENTS) for (const oldest of this.#own) if (this.#own.delete(oldest)) break
    this.#isNameless = user === PUBLIC_USER
    this.#maxBytes = maxMessageBytes
    for (const begin of [...this.#calls]) begin()
    this.#settleMove()
  }

  #ofRoom(envelope: ToClient, link: Link): void {
    const room = 'room' in envelope ? this.#rooms.get(envelope.room ?? '') : undefined
    if (room === undefined) return
    if (envelope.type === 'message') room.onMessage(envelope, link)
    else if (link !== room.link && link !== room.joining) return
    else if (envelope.type === 'joined' || envelope.type === 'error') {
      // Of a room that the token names: what this hub asks for itself is answered with an id.
      if (link.kind === 'websocket') return
      if (envelope.type === 'joined') this.#joined(room, envelope, link, room.position !== undefined)
      else this.#refused(room, errorOf(envelope))
    } else if (envelope.type === 'presence') room.onPresence(envelope)
    else if (envelope.type === 'member') room.onMember(envelope)
    else if (envelope.type === 'reset') room.onReset(envelope)
    else if (envelope.type === 'dropped') room.heal()
    else if (envelope.type === 'left' && envelope.reason !== undefined) this.#putOut(room, envelope.reason)
  }

  #joinOn(room: HubRoom, link: Link): void {
    room.joining = link
    const had = room.position !== undefined
    const isStill = () => room.joining === link && this.#rooms.get(room.name) === room
    this.#requests.send(
      link,
      JSON.stringify(room.request),
      (answer) => {
        if (!isStill()) return
        if (answer.type === 'joined') this.#joined(room, answer, link, had)
        else if (answer.type === 'error') this.#notJoined(room, errorOf(answer), link)
      },
      () => {},
    )
  }

  #joined(room: HubRoom, joined: Extract<ToClient, { type: 'joined' }>, link: Link, had: boolean): void {
    room.onJoined(joined, link, had)
    this.#connection.proven()
    this.#flush()
    this.#settleMove()
  }

  #notJoined(room: HubRoom, error: RoomcastError, link: Link): void {
    if (!error.retry) {
      this.#refused(room, error)
      return
    }
    room.joining = undefined
    this.#later(error.retryAfterMs ?? REJOIN_MS, () => {
      if (this.#rooms.get(room.name) === room && this.#connection.link === link) this.join(room)
    })
  }

  #refused(room: HubRoom, error: RoomcastError): void {
    this.#outgoing.clear(error.code, error.message, room.name)
    room.onRefused(error)
    this.#settleMove()
  }

  #putOut(room: HubRoom, reason: string): void {
    this.#refused(room, new RoomcastError('forbidden', reason))
    // Whoever was removed comes back only where the application asks for it.
    if (reason === 'removed') this.#rooms.delete(room.name)
  }

  /** While a node goes: once all rooms are on the new link, and the old one owes no answer, it is left. */
  #settleMove(): void {
    const { link, oldLink } = this.#connection
    if (oldLink === undefined || oldLink === link || this.#requests.owes(oldLink)) return
    for (const room of this.#rooms.values()) if (room.link !== link && room.refusal === undefined) return
    this.#connection.leaveOld()
  }

  #isReady(name: string, link: Link): boolean {
    return this.#rooms.get(name)?.link === link && this.#platform.now() >= this.#pausedUntilMs
  }

  #flush(): void {
    const { link } = this.#connection
    if (link === undefined) return
    for (const one of this.#outgoing.sendable(link, (room) => this.#isReady(room, link)))
      this.#send(one, link)
  }

  #send(one: Waiting, link: Link): void {
    const { room, text, keep, key } = one
    const how = keep ? `"key":"${key}","echo":true` : '"keep":false'
    one.on = link
    one.isTried = true
    this.#requests.send(
      link,
      `{"type":"message","room":${JSON.stringify(room)},"content":${text},${how}}`,
      (answer) => {
        if (answer.type === 'ack') this.#outgoing.done(one, answer)
        else if (answer.type === 'error')
          this.#outgoing.fail(one, answer.code, answer.message, answer.retryAfterMs)
        this.#flush()
      },
      () => {},
    )
  }

  /** Frames were not read, and nobody says which: what has no answer is sent again, which its key makes harmless. */
  #pause(link: Link, ms: number): void {
    this.#pausedUntilMs = this.#platform.now() + ms
    this.#later(ms, () => {
      if (this.#connection.link !== link) return
      this.#requests.lost(link)
      this.#outgoing.lost(link, this.#isNameless)
      for (const room of this.#rooms.values()) if (room.joining === link) this.#joinOn(room, link)
      this.#flush()
    })
  }

  #whenOpen(): Promise<void> {
    if (this.state.name === 'closed') throw new RoomcastError('closed', 'hub closed')
    let begin: (() => void) | undefined
    const open = new Promise<void>((resolve) => {
      begin = resolve
      this.#calls.add(resolve)
    })
    return this.#inTime(open, offline()).finally(() => this.#calls.delete(begin as () => void))
  }

  async #inTime<Done>(promise: Promise<Done>, late: Error): Promise<Done> {
    let timer: unknown
    const tooLate = new Promise<never>((_, reject) => {
      timer = this.#later(this.#timeoutMs, () => reject(late))
    })
    try {
      return await Promise.race([promise, tooLate])
    } finally {
      this.#platform.clearTimeout(timer)
      this.#timers.delete(timer)
    }
  }

  #later(ms: number, then: () => void): unknown {
    const timer = this.#platform.setTimeout(() => {
      this.#timers.delete(timer)
      then()
    }, ms)
    this.#timers.add(timer)
    return timer
  }

  /** Runs while something waits: an idle page is not woken. */
  #sweep(): void {
    if (this.#isSweeping || this.#outgoing.isEmpty) return
    this.#isSweeping = true
    this.#later(SWEEP_MS, () => {
      this.#isSweeping = false
      this.#outgoing.expire(this.#platform.now())
      this.#sweep()
    })
  }

  #ended(error: RoomcastError): void {
    for (const timer of this.#timers) this.#platform.clearTimeout(timer)
    this.#timers.clear()
    this.#outgoing.clear('closed', error.message)
    for (const begin of [...this.#calls]) begin()
    for (const room of this.#rooms.values()) room.onClosed(error)
    this.#rooms.clear()
  }
}

function offline(): RoomcastError {
  return new RoomcastError('offline', 'not connected')
}
