import { randomBytes } from 'node:crypto'
import { BoundedMap, textEntryBytes } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import { messageText } from '../protocol/codec.ts'
import type { Position, Scope } from '../protocol/envelope.ts'
import {
  type Bridge,
  type BridgeHost,
  type BridgeStatus,
  type HistoryLimits,
  KEY_TTL_MS,
  type Kept,
  LOCAL_KEYS,
  LOCAL_KEYS_BYTES,
  type NotesRead,
  noReplay,
  type Publication,
  type Published,
  type Replay,
  type ReplayRequest,
} from './bridge.ts'
import { RoomHistory } from './room-history.ts'

/** How often what has expired is looked for. */
const SWEEP_MS = 10_000
/** With HISTORY_TOTAL_BYTES reached, rooms lose their history until only this share of it is kept. */
const ENOUGH = 31 / 32

export interface MemoryLimits {
  /** All rooms together. */
  historyTotalBytes: number
}

/** The bridge of a single node: what is published is delivered at once, in the same turn. */
export class MemoryBridge implements Bridge {
  readonly #limits: MemoryLimits
  readonly #clock: Clock
  /** By room, the one idle for longest first. */
  readonly #histories = new Map<string, RoomHistory>()
  #bytes = 0
  /** Idempotent publishes by user, room and key, oldest first. */
  readonly #keys = new BoundedMap<string, { published: Published; expiresAt: number }>({
    entries: LOCAL_KEYS,
    bytes: LOCAL_KEYS_BYTES,
    bytesOf: textEntryBytes,
  })
  readonly #sweeper: NodeJS.Timeout
  /** The epoch of histories that are yet to begin; changes whenever one is forgotten. */
  #nextEpoch = newEpoch()
  #host: BridgeHost | undefined

  constructor(limits: MemoryLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS)
    this.#sweeper.unref()
  }

  start(host: BridgeHost): void {
    this.#host = host
  }

  async whenUp(): Promise<void> {}

  publish({ room, head, exclude, once, history: limits }: Publication): Published {
    const key = once === undefined ? undefined : JSON.stringify([room ?? null, once.user, once.key])
    const earlier = key === undefined ? undefined : this.#keys.get(key)
    if (earlier !== undefined && earlier.expiresAt > this.#clock.steadyMs()) {
      return { ...earlier.published, duplicate: true }
    }
    let text: string
    let position: Position | undefined
    if (room !== undefined && limits !== undefined && limits.size > 0) {
      const history = this.#history(room, limits)
      text = this.#counted(history, () =>
        history.append((at) => messageText(head, at), this.#clock.steadyMs()),
      )
      position = history.position
      this.#forgetIdlest(room)
    } else {
      text = messageText(head, undefined)
    }
    const published: Published =
      position === undefined ? { scope: 'cluster' } : { scope: 'cluster', offset: position.offset }
    if (key !== undefined) {
      this.#keys.set(key, { published, expiresAt: this.#clock.steadyMs() + KEY_TTL_MS })
    }
    this.#host?.deliver(room, [{ text, exclude, position }])
    return published
  }

  subscribe(): Scope {
    return 'cluster'
  }

  unsubscribe(): void {}

  replay(room: string, request: ReplayRequest): Replay {
    if (request.history.size === 0) return noReplay
    const known = this.#known(room)
    if (known !== undefined) return this.#counted(known, () => known.replay(request, this.#clock.steadyMs()))
    // A room without messages takes no memory: its position is where its history will begin.
    const position = { epoch: this.#nextEpoch, offset: 0 }
    const { since } = request
    return { position, isComplete: since?.epoch === position.epoch && since.offset === 0, messages: [] }
  }

  tell(): Scope {
    return 'cluster'
  }

  others(): string[] {
    return []
  }

  /** The only node knows its own. */
  keep(): Kept {
    return 'kept'
  }

  async readNotes(): Promise<NotesRead> {
    return { notes: [], isAnew: false, hasMore: false }
  }

  status(): BridgeStatus {
    return { kind: 'memory', state: 'up' }
  }

  cluster(): undefined {
    return undefined
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeper)
  }

  #known(room: string): RoomHistory | undefined {
    const history = this.#histories.get(room)
    if (history?.isExpired(this.#clock.steadyMs())) {
      this.#forget(room)
      return undefined
    }
    return history
  }

  #history(room: string, limits: HistoryLimits): RoomHistory {
    const known = this.#known(room)
    if (known !== undefined) {
      this.#histories.delete(room)
      this.#histories.set(room, known)
      return known
    }
    const history = new RoomHistory(this.#nextEpoch, limits, this.#clock.steadyMs())
    this.#histories.set(room, history)
    this.#bytes += history.bytes
    return history
  }

  /** Does something with a history and keeps count of the bytes that it takes. */
  #counted<T>(history: RoomHistory, action: () => T): T {
    const before = history.bytes
    const result = action()
    this.#bytes += history.bytes - before
    return result
  }

  /** Keeps within the bound over all rooms; `current` is the one that has just grown. */
  #forgetIdlest(current: string): void {
    const { historyTotalBytes } = this.#limits
    if (this.#bytes <= historyTotalBytes) return
    // A little more, so that it is seldom: a Map passes over all that was moved since it was last looked through.
    const enough = historyTotalBytes * ENOUGH
    for (const room of this.#histories.keys()) {
      if (this.#bytes <= enough || room === current) break
      this.#drop(room)
    }
    this.#nextEpoch = newEpoch()
  }

  /** Whoever has a position in a forgotten history must not take a later one for it. */
  #forget(room: string): void {
    this.#drop(room)
    this.#nextEpoch = newEpoch()
  }

  #drop(room: string): void {
    this.#bytes -= this.#histories.get(room)?.bytes ?? 0
    this.#histories.delete(room)
  }

  #sweep(): void {
    const now = this.#clock.steadyMs()
    for (const [room, history] of this.#histories) {
      if (this.#counted(history, () => history.sweep(now))) this.#forget(room)
    }
    for (const [key, { expiresAt }] of this.#keys) {
      if (expiresAt > now) break
      this.#keys.delete(key)
    }
  }
}

function newEpoch(): string {
  return randomBytes(6).toString('base64url')
}
