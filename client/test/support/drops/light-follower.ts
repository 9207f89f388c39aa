// A member of one room on a bare socket, with the rules of docs/PROTOCOL.md: back-off, `since`, one message after the
// other. It looks only at the bytes that it needs, so that thousands fit one process; of each message it checks all.
import { connect, type Socket } from 'node:net'
import type { Joined, ToClient } from '../../../../src/protocol/wire.ts'
import { frame, OPCODE, textFrame } from '../../../../test/support/frames.ts'
import { type Address, upgradeRequest } from '../../../../test/support/raw-socket.ts'
import { BackOff, type End } from '../../../src/back-off.ts'
import { Numbers } from './numbers.ts'
import { AWAY_MS, type Follower, ROOM } from './place.ts'

/** An attempt that has no welcome by then is given up: the real client's `timeoutMs`. */
const ATTEMPT_MS = 10_000
const MESSAGE = Buffer.from(`{"type":"message","room":"${ROOM}","content":{"n":`)
const OFFSET = Buffer.from('"offset":')
const SWITCHING = 'HTTP/1.1 101 '
const ZERO = 0x30

/** What a process's followers have in common. What is read is looked at before the next is read: one buffer is enough. */
export interface LightPlace {
  address: Address
  token: string
  buffer: Buffer
  onCaughtUp(ms: number): void
  onEnd(what: string): void
}

export class LightFollower implements Follower {
  readonly seen = new Numbers()
  returns = 0
  isJoined = false
  readonly #place: LightPlace
  readonly #backOff = new BackOff()
  #socket: Socket | undefined
  #timer: NodeJS.Timeout | undefined
  #isOpen = false
  #isWelcome = false
  #end: End = { code: 1006, reason: '' }
  /** The beginning of a frame whose end has not come. */
  #rest: Buffer | undefined
  #epoch: string | undefined
  #offset = 0
  #awayUntilMs = 0
  #openedAtMs = 0
  /** Has caught up with this offset in it. */
  #target = Infinity

  constructor(place: LightPlace) {
    this.#place = place
  }

  begin(): void {
    this.#isOpen = this.#isWelcome = false
    this.#end = { code: 1006, reason: '' }
    this.#rest = undefined
    if (performance.now() < this.#awayUntilMs) this.#comeBack(false)
    else this.#connect()
  }

  drop(): void {
    this.#awayUntilMs = performance.now() + AWAY_MS
    const socket = this.#socket
    if (socket === undefined) return
    this.#socket = undefined
    // No FIN, and so no port that is kept for a minute.
    socket.resetAndDestroy()
    this.#lost()
  }

  close(): void {
    const socket = this.#socket
    this.#socket = undefined
    clearTimeout(this.#timer)
    socket?.resetAndDestroy()
  }

  #connect(): void {
    const { address, buffer, token } = this.#place
    const callback = (length: number) => {
      if (socket === this.#socket) this.#read(buffer, length)
      return true
    }
    const socket = connect({ ...address, noDelay: true, onread: { buffer, callback } })
    this.#socket = socket
    socket.on('connect', () => socket.write(upgradeRequest(`/ws?token=${token}`)))
    socket.on('error', () => {})
    socket.on('close', () => {
      if (socket !== this.#socket) return
      this.#socket = undefined
      this.#place.onEnd(`${this.#end.status ?? this.#end.code} ${this.#end.reason}`)
      this.#lost()
    })
    this.#timer = setTimeout(() => socket.destroy(), ATTEMPT_MS)
  }

  #lost(): void {
    clearTimeout(this.#timer)
    this.isJoined = false
    this.#target = Infinity
    this.#comeBack(this.#isWelcome)
  }

  #comeBack(wasOpen: boolean): void {
    const waitMs = this.#backOff.after(this.#end, wasOpen, Math.random())
    // To be told never to come back is a loss of all that follows.
    if (waitMs !== 'never') this.#timer = setTimeout(() => this.begin(), waitMs)
  }

  #read(shared: Buffer, length: number): void {
    let bytes = shared
    let end = length
    if (this.#rest !== undefined) {
      bytes = Buffer.concat([this.#rest, shared.subarray(0, length)])
      end = bytes.length
      this.#rest = undefined
    }
    const socket = this.#socket
    let at = this.#isOpen ? 0 : this.#open(bytes, end)
    while (at >= 0 && at + 2 <= end) {
      const short = (bytes[at + 1] as number) & 0x7f
      const head = short < 126 ? 2 : short === 126 ? 4 : 10
      if (at + head > end) break
      const size =
        short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6)
      const next = at + head + size
      if (next > end) break
      this.#onFrame((bytes[at] as number) & 15, bytes, at + head, next)
      if (socket !== this.#socket) return
      at = next
    }
    if (at < end) this.#rest = Buffer.from(bytes.subarray(Math.max(at, 0), end))
  }

  /** Reads the answer to the upgrade; returns where the frames begin, or -1. */
  #open(bytes: Buffer, end: number): number {
    const text = bytes.toString('latin1', 0, end)
    const head = text.indexOf('\r\n\r\n')
    if (head < 0) return -1
    if (!text.startsWith(SWITCHING)) {
      this.#end = { code: 1006, reason: 'refused', status: Number(text.slice(9, 12)) }
      this.#socket?.destroy()
      return end
    }
    this.#isOpen = true
    this.#openedAtMs = performance.now()
    this.#join()
    return head + 4
  }

  #join(): void {
    const since = this.#epoch === undefined ? undefined : { epoch: this.#epoch, offset: this.#offset }
    this.#socket?.write(textFrame(JSON.stringify({ type: 'join', room: ROOM, since })))
  }

  #onFrame(opcode: number, bytes: Buffer, from: number, to: number): void {
    if (opcode === OPCODE.text) {
      if (startsWith(bytes, from, to, MESSAGE)) this.#onMessage(bytes, from, to)
      else this.#onEnvelope(JSON.parse(bytes.toString('utf8', from, to)))
    } else if (opcode === OPCODE.ping) {
      this.#socket?.write(frame(OPCODE.pong, bytes.subarray(from, to)))
    } else if (opcode === OPCODE.close) {
      const code = to - from < 2 ? 1005 : bytes.readUInt16BE(from)
      this.#end = { code, reason: bytes.toString('utf8', from + 2, to) }
      this.#socket?.end(frame(OPCODE.close, bytes.subarray(from, from + 2)))
    }
  }

  #onMessage(bytes: Buffer, from: number, to: number): void {
    if (!this.isJoined) return
    const n = digitsFrom(bytes, from + MESSAGE.length)
    const offset = offsetBefore(bytes, to)
    this.seen.take(offset === this.#offset + 1 ? n : Number.NaN)
    this.#offset = offset
    this.#lookWhetherCaughtUp()
  }

  #onEnvelope(envelope: ToClient): void {
    if (envelope.type === 'welcome') {
      this.#isWelcome = true
      clearTimeout(this.#timer)
    } else if (envelope.type === 'joined') this.#onJoined(envelope)
    else {
      this.#end = { code: 1013, reason: JSON.stringify(envelope) }
      this.#socket?.destroy()
    }
  }

  #onJoined({ epoch, offset, recovered }: Joined): void {
    if (this.#epoch !== undefined) this.returns++
    if (this.#epoch === undefined || recovered !== true) {
      // Without its history the next number shows what is lost.
      this.#epoch = epoch
      this.#offset = offset ?? 0
    }
    this.isJoined = true
    this.#backOff.reset()
    if (recovered === undefined) return
    this.#target = offset ?? 0
    this.#lookWhetherCaughtUp()
  }

  #lookWhetherCaughtUp(): void {
    if (this.#offset < this.#target) return
    this.#target = Infinity
    this.#place.onCaughtUp(performance.now() - this.#openedAtMs)
  }
}

function startsWith(bytes: Buffer, from: number, to: number, start: Buffer): boolean {
  if (to - from < start.length) return false
  for (let index = 0; index < start.length; index++) if (bytes[from + index] !== start[index]) return false
  return true
}

function digitsFrom(bytes: Buffer, from: number): number {
  let value = 0
  for (let at = from; ; at++) {
    const digit = (bytes[at] ?? 0) - ZERO
    if (digit < 0 || digit > 9) return at === from ? Number.NaN : value
    value = value * 10 + digit
  }
}

/** The offset at the end of a message's text: `"offset":12}`. */
function offsetBefore(bytes: Buffer, to: number): number {
  let at = to - 2
  while ((bytes[at] ?? 0) >= ZERO && (bytes[at] ?? 0) <= ZERO + 9) at--
  const isOffset = startsWith(bytes, at + 1 - OFFSET.length, to, OFFSET)
  return isOffset ? digitsFrom(bytes, at + 1) : Number.NaN
}
