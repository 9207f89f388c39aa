// A member of one room that comes back with `since` after every loss, as PROTOCOL.md tells clients to. It is light, so
// that thousands fit one process, and checks everything that it gets.
import { connect as connectTcp, type Socket } from 'node:net'
import { frame, OPCODE, textFrame } from './frames.ts'
import { type Address, upgradeRequest } from './raw-socket.ts'
import { Notifier } from './until.ts'

/** Back-off: doubled from the first to the last, times a random number between 0.5 and 1. */
const BACK_OFF_MS = 100
const BACK_OFF_MAX_MS = 5_000
/** An attempt that has not joined by then is given up. */
const ATTEMPT_MS = 10_000

export interface Position {
  epoch: string
  offset: number
}

/** A numbered message's content; `atMs` is the sender's performance.now(). */
export interface Numbered {
  n: number
  atMs: number
}

/** What is common to the followers of one room: which message has which offset, and how long each took. */
export class Ledger {
  /** Numbers by offset, as the first follower saw them. */
  readonly numbers = new Map<number, number>()
  readonly delaysMs: number[] = []
  readonly #events = new Notifier()

  /** Returns what is wrong with it, if something is. */
  note(offset: number, { n, atMs }: Numbered): string | undefined {
    this.delaysMs.push(performance.now() - atMs)
    const known = this.numbers.get(offset)
    if (known === undefined) this.numbers.set(offset, n)
    return known === undefined || known === n ? undefined : `offset ${offset} is ${known} and ${n}`
  }

  notify(): void {
    this.#events.notify()
  }

  until(what: string | (() => string), probe: () => boolean, deadlineMs: number): Promise<true> {
    return this.#events.until(what, () => probe() || undefined, deadlineMs)
  }
}

export interface FollowerOptions {
  room: string
  token: string
  ledger: Ledger
  /** Where to connect; asked before each attempt. */
  address: () => Address
}

/** A time without the room: from the loss to `joined`. */
export interface Return {
  recovered: boolean
  missed: number
  lostAtMs: number
  joinedAtMs: number
}

interface Joined {
  epoch?: string
  offset?: number
  recovered?: boolean
  missed?: number
}
type Incoming =
  | ({ type: 'joined'; id: number } & Joined)
  | { type: 'message'; room?: string; offset?: number; content: Numbered }
  | { type: 'welcome'; node: string }
  | { type: 'closing'; reconnectInMs: number }
  | { type: 'error' }

export class Follower {
  /** The newest that it has seen. */
  position: Position | undefined
  readonly returns: Return[] = []
  /** Whatever contradicts PROTOCOL.md, in words. */
  readonly faults: string[] = []
  /** Messages with an offset, and those that came without one, from this node alone. */
  count = 0
  local = 0
  joins = 0
  /** The offset at its first join: messages behind it are due. */
  firstOffset = 0
  /** Attempts that ended before `joined`. */
  failures = 0
  isJoined = false
  node = ''
  readonly #options: FollowerOptions
  #socket: Socket | undefined
  #rest: Buffer = Buffer.alloc(0)
  #isUpgraded = false
  #lostAtMs = 0
  /** The position that the last join was sent with, and that join's id. */
  #since: Position | undefined
  #joinId = 0
  #attempts = 0
  #isWanted = false
  #reconnectInMs: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: FollowerOptions) {
    this.#options = options
  }

  /** Connects, and from now on again whenever the connection is lost. */
  begin(): void {
    if (this.#isWanted) return
    this.#isWanted = true
    this.#connect()
  }

  /** Cuts the connection, without a word; what was on its way is lost. It stays away until `begin`. */
  drop(): void {
    this.#isWanted = false
    clearTimeout(this.#timer)
    this.#lose()
  }

  /** Joins once more on the connection that there is. */
  rejoin(): void {
    if (this.isJoined) this.#join()
  }

  #connect(): void {
    const { address, token } = this.#options
    const socket = connectTcp(address())
    this.#socket = socket
    this.#rest = Buffer.alloc(0)
    this.#isUpgraded = false
    socket.setNoDelay(true)
    socket.on('connect', () => socket.write(upgradeRequest(`/ws?token=${token}`)))
    socket.on('data', (chunk) => {
      if (socket === this.#socket) this.#read(chunk)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (socket === this.#socket) this.#onLost()
    })
    this.#timer = setTimeout(() => socket.destroy(), ATTEMPT_MS)
  }

  #lose(): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.destroy()
    if (this.isJoined) this.#lostAtMs = performance.now()
    this.isJoined = false
  }

  #onLost(): void {
    clearTimeout(this.#timer)
    if (!this.isJoined) this.failures++
    this.#lose()
    this.#options.ledger.notify()
    if (!this.#isWanted) return
    const backOffMs = Math.min(BACK_OFF_MAX_MS, BACK_OFF_MS * 2 ** this.#attempts++)
    const waitMs = this.#reconnectInMs ?? backOffMs * (0.5 + Math.random() / 2)
    this.#reconnectInMs = undefined
    this.#timer = setTimeout(() => this.#connect(), waitMs)
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    if (!this.#isUpgraded) {
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0) {
        this.#rest = bytes
        return
      }
      if (!bytes.subarray(0, 13).equals(switching)) {
        this.#socket?.destroy()
        return
      }
      this.#isUpgraded = true
      bytes = bytes.subarray(end + 4)
      this.#join()
    }
    let at = 0
    const socket = this.#socket
    while (bytes.length - at >= 2) {
      let length = (bytes[at + 1] as number) & 0x7f
      let head = 2
      if (length === 126) {
        if (bytes.length - at < 4) break
        length = bytes.readUInt16BE(at + 2)
        head = 4
      } else if (length === 127) {
        if (bytes.length - at < 10) break
        length = Number(bytes.readBigUInt64BE(at + 2))
        head = 10
      }
      if (bytes.length - at < head + length) break
      const payload = bytes.subarray(at + head, at + head + length)
      this.#onFrame((bytes[at] as number) & 15, payload)
      // A handler may have cut the connection.
      if (this.#socket !== socket) return
      at += head + length
    }
    this.#rest = bytes.subarray(at)
  }

  #onFrame(opcode: number, payload: Buffer): void {
    if (opcode === OPCODE.ping) this.#socket?.write(frame(OPCODE.pong, payload))
    else if (opcode === OPCODE.close) this.#socket?.end(frame(OPCODE.close, payload.subarray(0, 2)))
    else if (opcode === OPCODE.text) this.#onEnvelope(JSON.parse(payload.toString('utf8')) as Incoming)
  }

  #join(): void {
    const since = this.position && { ...this.position }
    this.#since = since
    const join = { type: 'join', room: this.#options.room, id: ++this.#joinId, ...(since && { since }) }
    this.#socket?.write(textFrame(JSON.stringify(join)))
  }

  #onEnvelope(envelope: Incoming): void {
    if (envelope.type === 'message' && envelope.room === this.#options.room) this.#onMessage(envelope)
    else if (envelope.type === 'joined' && envelope.id === this.#joinId) this.#onJoined(envelope)
    else if (envelope.type === 'welcome') this.node = envelope.node
    else if (envelope.type === 'closing') this.#reconnectInMs = envelope.reconnectInMs
    else if (envelope.type === 'error') this.#socket?.destroy()
  }

  #onJoined(joined: Joined): void {
    clearTimeout(this.#timer)
    const since = this.#since
    const { epoch, offset, recovered = false, missed = 0 } = joined
    if (since !== undefined) {
      const joinedAtMs = performance.now()
      if (!this.isJoined || recovered)
        this.returns.push({ recovered, missed, lostAtMs: this.#lostAtMs, joinedAtMs })
      if (recovered && (epoch !== since.epoch || offset !== since.offset + missed))
        this.faults.push(`recovered ${missed} from ${JSON.stringify(since)} to ${JSON.stringify(joined)}`)
    }
    this.position =
      recovered && since !== undefined
        ? { ...since }
        : epoch === undefined || offset === undefined
          ? undefined
          : { epoch, offset }
    this.isJoined = true
    if (this.joins++ === 0) this.firstOffset = offset ?? 0
    this.#attempts = 0
    this.#options.ledger.notify()
  }

  #onMessage({ offset, content }: { offset?: number; content: Numbered }): void {
    if (offset === undefined) {
      this.local++
      return
    }
    const { position } = this
    this.count++
    // Between a rejoin and its answer the old membership goes on.
    if (position !== undefined) {
      if (offset !== position.offset + 1)
        this.faults.push(`${this.isJoined ? '' : 'not joined, '}${offset} after ${position.offset}`)
      position.offset = offset
    }
    const fault = this.#options.ledger.note(offset, content)
    if (fault !== undefined) this.faults.push(fault)
    this.#options.ledger.notify()
  }
}

const switching = Buffer.from('HTTP/1.1 101 ')
