import type {
  FromClient,
  Refreshed,
  Result,
  ToClient,
  History as WireHistory,
} from '../../src/protocol/wire.ts'
import { Connection, type ConnectionOwner } from './connection.ts'
import { deadline } from './deadline.ts'
import { Emitter } from './emitter.ts'
import { RoomcastError } from './errors.ts'
import { HubRoom, nameOf, type RoomHost, remember } from './hub-room.ts'
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
  /** What was said to everybody, by the link that it came on first. */
  readonly #told = new Set<string>()
  /** What stops a timer. */
  readonly #timers = new Set<() => void>()
  #isSweeping = false
  #isNameless = false
  /** No publish is sent on it for a while: the server has said that there was too much. */
  #paused: Link | undefined

  constructor(url: URL, options: HubOptions, platform: Platform) {
    const { token, queue, timeoutMs = 10_000 } = options
    this.#platform =
      options.WebSocket === undefined ? platform : { ...platform, WebSocket: options.WebSocket }
    this.#options = options
    this.#timeoutMs = timeoutMs
    this.#outgoing = new Outgoing({ messages: 1000, bytes: 1024 * 1024, ageMs: 60_000, ...queue })
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
    if (this.state.name === 'closed') {
      room.onClosed(new RoomcastError('closed'))
      return room
    }
    this.#rooms.set(name, room)
    this.join(room)
    return room
  }

  async call(method: string, params?: unknown): Promise<unknown> {
    if (this.state.name !== 'open') await this.#whenOpen()
    return (await this.#ask<Result>({ type: 'call', method, params })).result
  }

  close(): void {
    this.#connection.close('closed')
  }

  // What rooms ask for.

  publish(room: HubRoom, content: unknown, keep: boolean): Promise<Ack> {
    return new Promise((resolve, reject) => {
      const text = JSON.stringify(content)
      if (text === undefined) throw new TypeError('no JSON form')
      const { name, refusal } = room
      if (refusal !== undefined) throw refusal
      if (this.#rooms.get(name) !== room) throw new RoomcastError('closed')
      // What is old in a second waits for a join that is under way, and for nothing else.
      if (!keep && !this.#isReady(name, this.#link()) && room.joining !== this.#connection.link)
        throw new RoomcastError('offline')
      this.#outgoing.add(name, text, keep, this.#platform.now()).then(resolve, reject)
      this.#flush()
    })
  }

  async history(room: string, limit: number | undefined): Promise<Message[]> {
    const request = { type: 'history', room, limit } as FromClient
    const { messages } = await this.#ask<WireHistory>(request)
    return messages.map(({ type: _, room: __, ...message }) => message)
  }

  join(room: HubRoom): void {
    const { link } = this.#connection
    if (link !== undefined && room.joining !== link) this.#joinOn(room, link)
  }

  forget(room: HubRoom): void {
    if (!this.#rooms.delete(room.name)) return
    const { link } = this.#connection
    link?.send(JSON.stringify({ type: 'leave', room: room.name }))
    this.#outgoing.clear('closed', 'left', room.name)
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
      this.#connection.moveAway(link, envelope.reconnectInMs, envelope.handoverMs)
    else if (envelope.type === 'pong') this.#connection.proven()
    else if (envelope.type === 'message' && envelope.room === undefined) {
      const { type: _, ...message } = envelope
      if (!this.#isTold(nameOf(message), link)) this.#events.emit('message', message)
    } else if (envelope.type === 'error' && envelope.room === undefined) {
      if (envelope.code === 'rate_limited') this.#pause(link, envelope.retryAfterMs || REJOIN_MS)
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
    remember(this.#own, client, OWN_CLIENTS)
    this.#isNameless = user === PUBLIC_USER
    this.#requests.maxBytes = maxMessageBytes
    this.#settleMove()
  }

  #ofRoom(envelope: ToClient, link: Link): void {
    const room = this.#rooms.get((envelope as { room?: string }).room ?? '')
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
    this.#requests.send(link, JSON.stringify(room.request), (answer) => {
      if (!isStill()) return
      if (answer.type === 'joined') this.#joined(room, answer, link, had)
      else if (answer.type === 'error') {
        const error = errorOf(answer)
        if (!error.retry) this.#refused(room, error)
        // It is joining still, so that nobody else asks meanwhile.
        else this.#later(error.retryAfterMs || REJOIN_MS, () => isStill() && this.#joinOn(room, link))
      }
    })
  }

  #joined(room: HubRoom, joined: Extract<ToClient, { type: 'joined' }>, link: Link, had: boolean): void {
    room.onJoined(joined, link, had)
    this.#connection.proven()
    this.#flush()
    this.#settleMove()
  }

  #refused(room: HubRoom, error: RoomcastError): void {
    this.#outgoing.clear(error.code, error.message, room.name)
    room.onRefused(error)
    this.#settleMove()
  }

  #putOut(room: HubRoom, reason: string): void {
    const error = new RoomcastError('forbidden', reason)
    this.#refused(room, error)
    // Whoever was removed comes back only where the application asks for it.
    if (reason === 'removed' && this.#rooms.delete(room.name)) room.onClosed(error)
  }

  /** While a node goes: once all rooms are on the new link, and the old one owes no answer, it is left. */
  #settleMove(): void {
    const { link, oldLink } = this.#connection
    if (oldLink === undefined || oldLink === link || this.#requests.owes(oldLink)) return
    for (const room of this.#rooms.values()) if (room.link !== link && room.refusal === undefined) return
    this.#connection.leaveOld()
  }

  #isReady(name: string, link: Link): boolean {
    return this.#rooms.get(name)?.link === link && link !== this.#paused
  }

  /** Sends what may be sent, and looks again while something waits: an idle page is not woken. */
  #flush(): void {
    const { link } = this.#connection
    const nowMs = this.#platform.now()
    this.#outgoing.expire(nowMs)
    if (link !== undefined)
      for (const one of this.#outgoing.sendable(link, (room) => this.#isReady(room, link))) {
        one.triedMs ??= nowMs
        this.#send(one, link)
      }
    if (this.#isSweeping || this.#outgoing.isEmpty) return
    this.#isSweeping = true
    this.#later(SWEEP_MS, () => {
      this.#isSweeping = false
      this.#flush()
    })
  }

  #send(one: Waiting, link: Link): void {
    const { room, text, keep, key } = one
    const how = keep ? `"key":"${key}","echo":true` : '"keep":false'
    one.on = link
    this.#requests.send(
      link,
      `{"type":"message","room":${JSON.stringify(room)},"content":${text},${how}}`,
      (answer) => {
        if (answer.type === 'ack') this.#outgoing.done(one, answer)
        else if (answer.type === 'error')
          this.#outgoing.fail(one, answer.code, answer.message, answer.retryAfterMs)
        this.#flush()
      },
    )
  }

  /** Frames were not read, and nobody says which: what has no answer is sent again, which its key makes harmless. */
  #pause(link: Link, ms: number): void {
    // One timer, however many notices come.
    if (this.#paused === link) return
    this.#paused = link
    this.#later(ms, () => {
      if (this.#paused === link) this.#paused = undefined
      this.#requests.lost(link)
      this.#outgoing.lost(link, this.#isNameless)
      for (const room of this.#rooms.values()) if (room.joining === link) this.#joinOn(room, link)
      this.#flush()
    })
  }

  /** What is said to everybody comes on both links while a node goes. */
  #isTold(name: string, link: Link): boolean {
    const { oldLink } = this.#connection
    const isOfOld = link === oldLink
    if (this.#told.delete(`${!isOfOld} ${name}`)) return true
    remember(this.#told, `${isOfOld} ${name}`, OWN_CLIENTS)
    return false
  }

  #link(): Link {
    const { link } = this.#connection
    if (link === undefined) throw new RoomcastError(this.state.name === 'closed' ? 'closed' : 'offline')
    return link
  }

  #ask<Answer extends ToClient>(request: FromClient): Promise<Answer> {
    const late = new RoomcastError('timeout', undefined, true)
    return this.#inTime(this.#requests.ask<Answer>(this.#link(), request), late)
  }

  /** Or closed, which it tells who asks then. */
  async #whenOpen(): Promise<void> {
    let off = () => {}
    const open = new Promise<void>((resolve) => {
      off = this.on('state', ({ name }) => /open|closed/.test(name) && resolve())
      if (this.state.name === 'closed') resolve()
    })
    await this.#inTime(open, new RoomcastError('offline')).finally(off)
  }

  async #inTime<Done>(promise: Promise<Done>, late: Error): Promise<Done> {
    let stop = () => {}
    const tooLate = new Promise<never>((_, reject) => {
      stop = this.#later(this.#timeoutMs, () => reject(late))
    })
    return Promise.race([promise, tooLate]).finally(stop)
  }

  #later(ms: number, then: () => void): () => void {
    const cancel = deadline(this.#platform, ms, () => {
      stop()
      then()
    })
    const stop = () => {
      cancel()
      this.#timers.delete(stop)
    }
    this.#timers.add(stop)
    return stop
  }

  #ended(error: RoomcastError): void {
    for (const stop of this.#timers) stop()
    this.#outgoing.clear('closed', error.message)
    for (const room of this.#rooms.values()) room.onClosed(error)
    this.#rooms.clear()
  }
}
