import { once } from 'node:events'
import { WebSocket } from 'ws'
import { Failure } from './check.ts'
import { expectTrue, shown } from './expect.ts'
import { type Envelope, Mailbox } from './mailbox.ts'

export interface Closed {
  code: number
  reason: string
}

export interface SocketOptions {
  headers?: Record<string, string>
  protocols?: string[]
  timeoutMs: number
}

/** One WebSocket of a check. It collects envelopes, and whatever is waited for has a deadline. */
export class Session {
  readonly mail: Mailbox
  readonly socket: WebSocket
  welcome: Envelope = { type: 'welcome' }
  readonly #timeoutMs: number
  readonly #closed: Promise<Closed>
  #ids = 0

  /** Resolves when the server has said welcome. */
  static async open(url: string, options: SocketOptions): Promise<Session> {
    const session = new Session(url, options)
    try {
      session.welcome = await session.mail.next('a welcome')
      expectTrue(session.welcome.type === 'welcome', `the first envelope is ${shown(session.welcome)}`)
    } catch (error) {
      session.destroy()
      throw error
    }
    return session
  }

  constructor(url: string, { headers = {}, protocols = [], timeoutMs }: SocketOptions) {
    this.#timeoutMs = timeoutMs
    this.mail = new Mailbox(timeoutMs)
    this.socket = new WebSocket(url, protocols, {
      headers,
      perMessageDeflate: false,
      handshakeTimeout: timeoutMs,
    })
    this.socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.mail.end('a binary message came')
      else this.mail.put(data.toString())
    })
    this.socket.on('error', ({ message }) => this.mail.end(message))
    this.#closed = once(this.socket, 'close').then(([code, reason]) => {
      this.mail.end(`the socket was closed with ${code}`)
      return { code, reason: String(reason) }
    })
    // What a broken upgrade means is said where something is waited for.
    this.#closed.catch(() => {})
  }

  get client(): string {
    return String(this.welcome.client)
  }

  /** Sends an envelope, or a text as it stands. */
  send(envelope: object | string): void {
    this.socket.send(typeof envelope === 'string' ? envelope : JSON.stringify(envelope))
  }

  id(): string {
    return `id-${++this.#ids}`
  }

  /** Sends it with an id, and resolves with its answer, whatever that is. */
  async ask(envelope: object): Promise<Envelope> {
    const id = this.id()
    this.send({ ...envelope, id })
    return this.answer(id)
  }

  answer(id: string | number): Promise<Envelope> {
    return this.mail.find(`the answer to ${id}`, (envelope) => envelope.id === id)
  }

  /** Joins; an error fails the check. */
  async join(room: string, more: object = {}): Promise<Envelope> {
    return this.#granted('joined', await this.ask({ type: 'join', room, ...more }))
  }

  /** Publishes; an error fails the check. */
  async publish(room: string, content: unknown, more: object = {}): Promise<Envelope> {
    return this.#granted('ack', await this.ask({ type: 'message', room, content, ...more }))
  }

  async leave(room: string): Promise<Envelope> {
    return this.#granted('left', await this.ask({ type: 'leave', room }))
  }

  #granted(type: string, answer: Envelope): Envelope {
    expectTrue(answer.type === type, `the answer is ${shown(answer)}, not \`${type}\``)
    return answer
  }

  /** It is refused with this code. */
  async refused(envelope: object, code: string): Promise<Envelope> {
    const answer = await this.ask(envelope)
    const isSo = answer.type === 'error' && answer.code === code
    expectTrue(isSo, `${shown(envelope)} is answered with ${shown(answer)}, not with the error \`${code}\``)
    expectTrue(typeof answer.message === 'string', `the error has no message: ${shown(answer)}`)
    return answer
  }

  /** The next message, and none but that may be ahead of it. */
  async message(what = 'a message'): Promise<Envelope> {
    const envelope = await this.mail.next(what)
    expectTrue(envelope.type === 'message', `${what} was expected, and ${shown(envelope)} came`)
    return envelope
  }

  async messages(count: number): Promise<Envelope[]> {
    const got: Envelope[] = []
    while (got.length < count) got.push(await this.message(`message ${got.length + 1} of ${count}`))
    return got
  }

  /** Takes all that the server had sent when it read a ping. */
  async fence(): Promise<Envelope[]> {
    const id = this.id()
    this.send({ type: 'ping', id })
    const got = await this.mail.upTo('a pong', (envelope) => envelope.type === 'pong' && envelope.id === id)
    return got.slice(0, -1)
  }

  /** Nothing came that no check has taken. */
  async expectNothing(what: string): Promise<void> {
    const [first] = await this.fence()
    expectTrue(first === undefined, `${what}: ${shown(first)} came`)
  }

  /** Resolves with how the server closed it. */
  async closed(timeoutMs = this.#timeoutMs): Promise<Closed> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      const say = () => reject(new Failure(`the socket was not closed within ${timeoutMs} ms`))
      timer = setTimeout(say, timeoutMs)
    })
    return Promise.race([this.#closed, late]).finally(() => clearTimeout(timer))
  }

  async expectClosed(code: number, timeoutMs?: number): Promise<Closed> {
    const closed = await this.closed(timeoutMs)
    expectTrue(closed.code === code, `the socket was closed with ${closed.code}, not with ${code}`)
    return closed
  }

  /** Resolves with what the next frame of that kind has in it. */
  heard(kind: 'ping' | 'pong', timeoutMs = this.#timeoutMs): Promise<string> {
    return new Promise((resolve, reject) => {
      const say = () => reject(new Failure(`no ${kind} frame came within ${timeoutMs} ms`))
      const timer = setTimeout(say, timeoutMs)
      this.socket.once(kind, (payload: Buffer) => {
        clearTimeout(timer)
        resolve(payload.toString())
      })
    })
  }

  /** As an application goes. */
  close(): void {
    this.socket.close(1000)
  }

  destroy(): void {
    this.socket.terminate()
  }
}
