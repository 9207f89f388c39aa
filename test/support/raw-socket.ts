// One TCP socket that speaks HTTP and WebSocket byte by byte, well or badly, as the test likes.
import { randomBytes } from 'node:crypto'
import { connect as connectTcp, type NetConnectOpts, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { closePayload, type Frame, FrameReader, frame, hex, OPCODE } from './frames.ts'
import { type Maybe, Notifier } from './until.ts'

export interface Address {
  host: string
  port: number
  tls?: boolean
}

export interface Response {
  status: number
  /** Names in lower case; a repeated header keeps all values, joined by ", ". */
  headers: Record<string, string | undefined>
  body: string
  head: string
}

export interface Close {
  /** 1005 when the Close had no body. */
  code: number
  reason: string
  payload: Buffer
  atMs: number
}

export interface RequestOptions {
  method?: string
  version?: string
  /** Replaces a standard header by its lower-case name; null leaves it out. */
  replace?: Record<string, string | null>
  /** More header lines, as they are. */
  lines?: string[]
}

/** A Close frame's code and reason. */
export function parseClose({ payload, atMs }: Frame): Close {
  const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0)
  return { code, reason: payload.subarray(2).toString('utf8'), payload, atMs }
}

/** The bytes of an upgrade request for `target`. */
export function upgradeRequest(target: string, options: RequestOptions = {}): string {
  const { method = 'GET', version = 'HTTP/1.1', replace = {}, lines = [] } = options
  const standard: Record<string, string | null> = {
    Host: 'localhost',
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
  }
  const headers = Object.entries(standard).flatMap(([name, value]) => {
    const other = replace[name.toLowerCase()]
    const chosen = other === undefined ? value : other
    return chosen === null ? [] : [`${name}: ${chosen}`]
  })
  return `${[`${method} ${target} ${version}`, ...headers, ...lines].join('\r\n')}\r\n\r\n`
}

export interface RawOptions {
  /** Answer the server's pings (default true). */
  pong?: boolean
  /** Keep what was read in `frames` (default true); a client in a crowd may do without. */
  record?: boolean
  /** More of net.connect: localAddress, for one. */
  tcp?: Partial<NetConnectOpts>
}

export class RawSocket {
  readonly tcp: Socket
  readonly frames: Frame[] = []
  /** The whole byte stream before a 101, so that a test can see what was really answered. */
  response: Response | undefined
  /** How the server ended the connection, if it did: its FIN, or a reset. */
  end: 'fin' | 'reset' | undefined
  endAtMs = 0
  bytesRead = 0
  pong: boolean
  onFrame: ((frame: Frame) => void) | undefined
  /** What is under TLS, or the same. */
  readonly #bare: Socket
  readonly #record: boolean
  readonly #events = new Notifier()
  readonly #reader = new FrameReader()
  #head: Buffer = Buffer.alloc(0)

  /** Opens a TCP connection, and nothing more. */
  static async open(address: Address, options: RawOptions = {}): Promise<RawSocket> {
    const socket = new RawSocket(address, options)
    await socket.until('TCP connect', () => {
      if (socket.end) throw new Error('the connection was refused')
      return !socket.#bare.connecting
    })
    return socket
  }

  /** Opens, sends an upgrade request for `target`, and waits for the answer, whatever it is. */
  static async upgrade(
    address: Address,
    target: string,
    options: RequestOptions & RawOptions = {},
  ): Promise<RawSocket> {
    const socket = await RawSocket.open(address, options)
    socket.write(upgradeRequest(target, options))
    await socket.answer()
    return socket
  }

  constructor(address: Address, { pong = true, record = true, tcp = {} }: RawOptions = {}) {
    this.pong = pong
    this.#record = record
    // allowHalfOpen: the test, not Node, decides when this side closes.
    const options = { host: address.host, port: address.port, allowHalfOpen: true, ...tcp }
    this.#bare = connectTcp(options as NetConnectOpts)
    this.tcp = address.tls ? connectTls({ socket: this.#bare, rejectUnauthorized: false }) : this.#bare
    this.tcp.setNoDelay(true)
    this.#bare.on('connect', () => this.#events.notify())
    this.tcp.on('data', (chunk) => this.#onData(chunk))
    this.tcp.on('end', () => this.#onEnd('fin'))
    this.tcp.on('error', () => this.#onEnd('reset'))
    this.tcp.on('close', () => this.#events.notify())
  }

  /** Past the 101. */
  get upgraded(): boolean {
    return this.response?.status === 101
  }

  #onEnd(how: 'fin' | 'reset'): void {
    if (this.end === undefined) {
      this.end = how
      this.endAtMs = performance.now()
    }
    if (!this.upgraded && this.#head.length > 0) this.#parseHead(true)
    this.#events.notify()
  }

  #onData(chunk: Buffer): void {
    this.bytesRead += chunk.length
    if (this.upgraded) {
      this.#onFrames(chunk)
    } else {
      this.#head = Buffer.concat([this.#head, chunk])
      this.#parseHead(false)
    }
    this.#events.notify()
  }

  #onFrames(chunk: Buffer): void {
    for (const frame of this.#reader.push(chunk)) {
      if (this.#record) this.frames.push(frame)
      if (frame.opcode === OPCODE.ping && this.pong) this.sendFrame(OPCODE.pong, frame.payload)
      this.onFrame?.(frame)
    }
  }

  #parseHead(ended: boolean): void {
    const text = this.#head.toString('latin1')
    const headEnd = text.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const [statusLine = '', ...lines] = text.slice(0, headEnd).split('\r\n')
    const headers: Response['headers'] = {}
    for (const line of lines) {
      const colon = line.indexOf(':')
      const name = line.slice(0, colon).toLowerCase()
      const value = line.slice(colon + 1).trim()
      headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`
    }
    const status = Number(statusLine.split(' ')[1])
    const rest = this.#head.subarray(headEnd + 4)
    const length = Number(headers['content-length'] ?? Number.NaN)
    const whole = status === 101 || ended || rest.length >= length
    if (!whole) return
    this.response = {
      status,
      headers,
      body: status === 101 ? '' : rest.toString('utf8'),
      head: text.slice(0, headEnd),
    }
    if (status !== 101) return
    this.#onFrames(rest)
  }

  /** Waits for `probe` to answer; asked again after every event of this socket. */
  until<T>(what: string | (() => string), probe: () => Maybe<T>, deadlineMs?: number): Promise<T> {
    return this.#events.until(what, probe, deadlineMs)
  }

  /** The HTTP response; it may be a 101. */
  answer(deadlineMs?: number): Promise<Response> {
    return this.until(
      'an HTTP response',
      () => {
        if (this.response) return this.response
        if (this.end)
          throw new Error(`the server ended the connection (${this.end}) without a whole response`)
        return undefined
      },
      deadlineMs,
    )
  }

  /** The first frame that matches, also one read earlier. */
  frame(what: string, match: (frame: Frame) => boolean, deadlineMs?: number): Promise<Frame> {
    return this.until(
      () => `${what}; read ${this.frames.length} frames, end ${this.end}`,
      () => {
        const found = this.frames.find(match)
        if (!found && this.end) throw new Error(`TCP ended (${this.end}) without ${what}`)
        return found
      },
      deadlineMs,
    )
  }

  /** The server's Close frame. */
  async close(deadlineMs?: number): Promise<Close> {
    return parseClose(await this.frame('a Close', (frame) => frame.opcode === OPCODE.close, deadlineMs))
  }

  /** The end of TCP, made by the server. */
  ended(deadlineMs?: number): Promise<'fin' | 'reset'> {
    return this.until('the server ends TCP', () => this.end, deadlineMs)
  }

  write(bytes: string | Buffer): void {
    if (!this.tcp.destroyed && this.tcp.writable) this.tcp.write(bytes)
  }

  /** Writes and waits until the kernel has taken the bytes; resolves false when the connection went away. */
  flush(bytes: string | Buffer): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.tcp.destroyed || !this.tcp.writable) return resolve(false)
      const gone = () => resolve(false)
      this.tcp.once('close', gone)
      this.tcp.write(bytes, (error) => {
        this.tcp.removeListener('close', gone)
        resolve(!error)
      })
    })
  }

  writeHex(text: string): void {
    this.write(hex(text))
  }

  sendFrame(opcode: number, payload: string | Buffer = ''): void {
    this.write(frame(opcode, payload))
  }

  sendText(text: string): void {
    this.sendFrame(OPCODE.text, text)
  }

  sendClose(code = 1000, reason = ''): void {
    this.sendFrame(OPCODE.close, closePayload(code, reason))
  }

  /** Stops reading: the kernel's buffers fill, and then the server's. */
  pause(): void {
    this.tcp.pause()
  }

  resume(): void {
    this.tcp.resume()
  }

  /** Sends our FIN. */
  finish(): void {
    this.tcp.end()
  }

  /** Ends with a RST. */
  reset(): void {
    this.#bare.resetAndDestroy()
  }

  destroy(): void {
    this.tcp.destroy()
  }
}
