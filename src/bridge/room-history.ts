import type { Position } from '../protocol/envelope.ts'
import { type HistoryLimits, POSITION_EXTRA_TTL_MS, type Replay, type ReplayRequest } from './bridge.ts'

/** What a room costs beside its messages. */
const ROOM_BYTES = 512

/** One room's history in memory: its epoch and offset as one, and the newest messages within the limits. */
export class RoomHistory {
  readonly epoch: string
  readonly #limits: HistoryLimits
  #offset = 0
  /** The newest messages; the last one is at #offset. */
  #messages: string[] = []
  #bytes = 0
  #messagesExpireAt = 0
  #expiresAt: number

  constructor(epoch: string, limits: HistoryLimits, nowMs: number) {
    this.epoch = epoch
    this.#limits = limits
    this.#expiresAt = nowMs + limits.ttlMs + POSITION_EXTRA_TTL_MS
  }

  /** What the history takes in memory, about. */
  get bytes(): number {
    return ROOM_BYTES + this.#bytes
  }

  get position(): Position {
    return { epoch: this.epoch, offset: this.#offset }
  }

  /** Whether the room has been idle for so long that even its position is forgotten. */
  isExpired(nowMs: number): boolean {
    return nowMs >= this.#expiresAt
  }

  /** Frees what has expired; returns whether nothing is left. */
  sweep(nowMs: number): boolean {
    this.#dropExpired(nowMs)
    return this.isExpired(nowMs)
  }

  /** Keeps a message, whose text `write` makes for the offset that it gets; returns that text. */
  append(write: (offset: number) => string, nowMs: number): string {
    this.#dropExpired(nowMs)
    this.#offset++
    const text = write(this.#offset)
    this.#messages.push(text)
    this.#bytes += memoryOf(text)
    while (this.#messages.length > this.#limits.size || this.#bytes > this.#limits.maxBytes) {
      this.#bytes -= memoryOf(this.#messages.shift() ?? '')
    }
    this.#messagesExpireAt = nowMs + this.#limits.ttlMs
    this.#expiresAt = this.#messagesExpireAt + POSITION_EXTRA_TTL_MS
    return text
  }

  replay({ since, limit }: ReplayRequest, nowMs: number): Replay {
    this.#dropExpired(nowMs)
    this.#expiresAt = Math.max(this.#expiresAt, nowMs + this.#limits.ttlMs + POSITION_EXTRA_TTL_MS)
    const { position } = this
    const first = this.#offset - this.#messages.length
    if (since === undefined) {
      const messages = limit === 0 ? [] : this.#messages.slice(-limit)
      return { position, isComplete: false, messages }
    }
    if (since.epoch !== this.epoch || since.offset > this.#offset || since.offset < first) {
      return { position, isComplete: false, messages: [] }
    }
    const missed = this.#messages.slice(since.offset - first)
    return { position, isComplete: missed.length <= limit, messages: missed.slice(0, limit) }
  }

  #dropExpired(nowMs: number): void {
    if (this.#messages.length === 0 || nowMs < this.#messagesExpireAt) return
    this.#messages = []
    this.#bytes = 0
  }
}

/** What a string takes of the heap: one byte a character, or two when any of them is beyond Latin-1, at most. */
function memoryOf(text: string): number {
  return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length
}
