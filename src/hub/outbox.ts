import { Backlog, worthKeeping } from './backlog.ts'
import { Batch } from './batch.ts'
import type { Turn } from './turn.ts'

const nothing: readonly Buffer[] = []

/**
 * A client's waiting frames. Bounded in bytes, but only against a socket that does not keep up: `maxBytes` is what
 * may be added while the socket has not taken all that was written. A burst that meets an idle socket is not
 * slowness, however large; its bytes are shared with the other members who got it.
 *
 * Replies have as much room again, so that messages, which may be dropped, do not crowd them out.
 * Invariant: bytes that wait ≤ what one burst brought + maxBytes of messages, and of replies 2 · maxBytes in all.
 */
export class Outbox {
  readonly #maxBytes: number
  readonly #turn: Turn
  /** What this turn has brought. */
  #batch: Batch | undefined
  /** What earlier turns have left; undefined for the many clients that keep up. */
  #backlog: Backlog | undefined
  #addedWhileBlocked = 0
  #blocked = false
  /** The rest of the burst that the socket did not take at once is still that burst. */
  #blockedIn = 0

  constructor(maxBytes: number, turn: Turn) {
    this.#maxBytes = maxBytes
    this.#turn = turn
  }

  /** Whether the socket has not taken everything that was written to it. */
  get blocked(): boolean {
    return this.#blocked
  }

  /** Bytes that wait here; what the socket itself still holds comes on top. */
  get bytes(): number {
    return (this.#backlog?.bytes ?? 0) + (this.#batch?.bytes ?? 0)
  }

  /** Takes a room's frame on behind the others, or returns false: the client is too slow. */
  offerShared(frame: Buffer, room: string | undefined): boolean {
    if (this.#blocked && !this.#admits(frame, this.#maxBytes)) return false
    this.#batch ??= new Batch()
    if (!this.#batch.follow(frame)) this.#batch.append(this.#turn.strand(room), frame)
    return true
  }

  /** The same with an answer or a notice, which nobody else gets. */
  offerOwn(frame: Buffer): boolean {
    if (this.#blocked && !this.#admits(frame, 2 * this.#maxBytes)) return false
    this.#batch ??= new Batch()
    this.#batch.appendOwn(frame)
    return true
  }

  /** Closes the turn and returns its pieces, to be written or kept; the array may be shared with other clients, unless `isAlone`. */
  endTurn(isAlone = false): readonly Buffer[] {
    if (this.#batch === undefined) return nothing
    const pieces = this.#batch.pieces(isAlone)
    this.#batch = undefined
    return pieces
  }

  /** Keeps what the socket cannot take yet. */
  keep(pieces: readonly Buffer[]): void {
    if (pieces.length === 0) return
    this.#backlog ??= new Backlog()
    for (const piece of worthKeeping(pieces)) this.#backlog.push(piece)
  }

  /** Whether earlier turns have left something. */
  get isBehind(): boolean {
    return this.#backlog !== undefined
  }

  /** Takes the next `maxBytes` at most of what earlier turns have left. */
  take(maxBytes: number): Buffer[] {
    const pieces = this.#backlog?.take(maxBytes) ?? []
    if (this.#backlog?.bytes === 0) this.#backlog = undefined
    return pieces
  }

  /** The socket has not taken everything: from the next burst on `maxBytes` counts. */
  block(): void {
    this.#blocked = true
    this.#blockedIn = this.#turn.burst
  }

  /** The socket has taken everything. */
  unblock(): void {
    this.#blocked = false
  }

  /** After a round of writing: what is gone no longer counts against the client. */
  settle(): void {
    this.#addedWhileBlocked = this.#blocked ? Math.min(this.#addedWhileBlocked, this.bytes) : 0
  }

  /** Forgets all that waits; returns the bytes still owed for a frame that is half out. */
  discard(): Buffer | undefined {
    const rest = this.#backlog?.cutRest
    this.#batch = undefined
    this.#backlog = undefined
    return rest
  }

  #admits({ length }: Buffer, maxBytes: number): boolean {
    if (this.#turn.burst === this.#blockedIn) return true
    if (this.#addedWhileBlocked + length > maxBytes) return false
    this.#addedWhileBlocked += length
    return true
  }
}
