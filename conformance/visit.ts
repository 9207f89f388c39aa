import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { Skip } from './check.ts'
import { expectFields, expectTrue, shown } from './expect.ts'
import type { Envelope } from './mailbox.ts'
import { type Answer, jsonOf, request, upgrade } from './request.ts'
import { Session } from './session.ts'
import { Stream } from './stream.ts'
import type { Claims, Target } from './target.ts'

/** How a client of a check connects; `token: false` shows none. */
export interface ConnectOptions {
  sub?: string
  claims?: Claims
  token?: string | false
  query?: Record<string, string>
  headers?: Record<string, string>
  protocols?: string[]
}

export interface SendOptions {
  method?: string
  headers?: Record<string, string>
  body?: string | object
}

/** One check's stay at the server: what it opens is closed when it ends. */
export class Visit {
  readonly target: Target
  readonly #open: { destroy?(): void; close?(): void }[] = []

  constructor(target: Target) {
    this.target = target
  }

  room(end = ''): string {
    return this.target.room(end)
  }

  async connect(options: ConnectOptions = {}): Promise<Session> {
    const { headers = {}, protocols = [] } = options
    const url = this.target.ws(`/ws${this.#query(options)}`)
    const session = await Session.open(url, { headers, protocols, timeoutMs: this.target.timeoutMs })
    this.#open.push(session)
    return session
  }

  /** A client that is in the room. */
  async member(room: string, options: ConnectOptions = {}): Promise<Session> {
    const session = await this.connect(options)
    await session.join(room)
    return session
  }

  async stream(query: [string, string][], options: ConnectOptions = {}): Promise<Stream> {
    const rest = new URLSearchParams(query)
    const url = this.target.http(`/sse${this.#query(options)}&${rest}`)
    const { headers = {} } = options
    const stream = await Stream.open(url, { headers, timeoutMs: this.target.timeoutMs })
    this.#open.push(stream)
    return stream
  }

  #query({ token, sub, claims = {}, query = {} }: ConnectOptions): string {
    const shownToken = token ?? this.target.token({ ...(sub !== undefined && { sub }), ...claims })
    return `?${new URLSearchParams({ ...(shownToken !== false && { token: shownToken }), ...query })}`
  }

  /** One HTTP request; an object as its body goes as JSON. */
  send(path: string, { method = 'GET', headers = {}, body }: SendOptions = {}): Promise<Answer> {
    const isText = body === undefined || typeof body === 'string'
    const text = isText ? body : JSON.stringify(body)
    const length = text === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(text)) }
    return request(this.target.http(path), {
      method,
      headers: { ...length, ...headers },
      ...(text !== undefined && { body: text }),
      timeoutMs: this.target.timeoutMs,
    })
  }

  /** An upgrade by hand. */
  tryUpgrade(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.send(path, { headers: { ...upgradeHeaders(), ...headers } })
  }

  /** The upgrade is refused, in the protocol's own words. */
  async refusedUpgrade(status: number, error: string, path: string, headers: Record<string, string> = {}) {
    expectRefusal(await this.tryUpgrade(path, headers), status, error)
  }

  /** A socket whose frames are the check's own, from the 101 on. */
  async rawSocket(): Promise<Socket> {
    const url = this.target.http(`/ws?token=${this.target.token()}`)
    const socket = await upgrade(url, { headers: upgradeHeaders(), timeoutMs: this.target.timeoutMs })
    this.#open.push(socket)
    return socket
  }

  /** Messages of the room that it knows of, 1 to `count`, from a client that is in no check's way. */
  async said(room: string, count: number): Promise<Envelope[]> {
    const speaker = await this.member(room)
    const acks: Envelope[] = []
    for (let n = 1; n <= count; n++) acks.push(await speaker.publish(room, n))
    return acks
  }

  end(): void {
    for (const one of this.#open) (one.destroy ?? one.close)?.call(one)
  }
}

/** A refusal before the 101 is JSON and names its kind. */
export function expectRefusal(answer: Answer, status: number, error: string): void {
  expectTrue(answer.status === status, `the answer is ${answer.status}, not ${status}: ${shown(answer.body)}`)
  const body = jsonOf(answer)
  expectFields(body, { error }, 'the refusal')
  expectTrue(typeof body.message === 'string', `the refusal has no message: ${shown(answer.body)}`)
}

/** What asks for an upgrade, by the letter of RFC 6455. */
export function upgradeHeaders(): Record<string, string> {
  return {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
  }
}

/** The position that a `joined` names; a room that keeps no history has none. */
export function positionIn(joined: Envelope): { epoch: string; offset: number } {
  const { epoch, offset } = joined
  if (epoch === undefined && offset === undefined && joined.scope === undefined)
    throw new Skip('the rooms keep no history')
  expectTrue(typeof epoch === 'string' && typeof offset === 'number', `no position in ${shown(joined)}`)
  return { epoch, offset }
}
