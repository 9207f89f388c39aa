import { Backlog } from './backlog.ts'
import type { Batch } from './batch.ts'

const nothing: readonly Buffer[] = []

/**
 * A client's waiting frames. Bounded in bytes, but only against a socket that does not keep up: `maxBytes` is what
 * may be added while the socket has not taken all that was written. A burst that meets an idle socket is not
 * slowness, however large; its bytes are shared with the other members who got it.
 *
 * Replies have as much room again, so that messages, which may be dropped, do not crowd them out.
 * Invariant: bytes that wait ≤ what one turn brought + maxBytes of messages, and of replies 2 · maxBytes in all.
 */
export class Outbox {
  readonly #maxBytes: number
  /** What this turn has brought. */
  #batch: Batch | undefined
  /** What earlier turns have left; undefined for the many clients that keep up. */
  #backlog: Backlog | undefined
  #addedWhileBlocked = 0
  #blocked = false

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether the socket has not taken everything that was written to it. */
  get blocked(): boolean {
    return this.#blocked
  }

  /** Bytes that wait here; what the socket itself still holds comes on top. */
  get bytes(): number {
    return (this.#backlog?.bytes ?? 0) + (this.#batch?.bytes ?? 0)
  }

  /** Takes a frame on behind the others, or returns false: the client is too slow. `root` is the turn's batch. */
  offer(frame: Buffer, root: Batch, isReply = false): boolean {
    if (this.#blocked) {
      const maxBytes = isReply ? 2 * this.#maxBytes : this.#maxBytes
      if (this.#addedWhileBlocked + frame.length > maxBytes) return false
      this.#addedWhileBlocked += frame.length
    }
    this.#batch = (this.#batch ?? root).append(frame)
    return true
  }

  /** Closes the turn and returns its chunks, to be written or kept; the array is shared with other clients. */
  endTurn(): readonly Buffer[] {
    if (this.#batch === undefined) return nothing
    const chunks = this.#batch.chunks()
    this.#batch = undefined
    return chunks
  }

  /** Keeps a chunk that the socket cannot take yet. */
  keep(chunk: Buffer): void {
    this.#backlog ??= new Backlog()
    this.#backlog.push(chunk)
  }

  /** Takes the next `maxBytes` at most of what earlier turns have left. */
  take(maxBytes: number): Buffer | undefined {
    const bytes = this.#backlog?.take(maxBytes)
    if (this.#backlog?.bytes === 0) this.#backlog = undefined
    return bytes
  }

  /** The socket has not taken everything: from now on `maxBytes` counts. */
  block(): void {
    this.#blocked = true
  }

  /** The socket has taken everything. */
  unblock(): void {
    this.#blocked = false
  }

  /** After a round of writing: what is gone no longer counts against the client. */
  settle(): void {
    this.#addedWhileBlocked = this.#blocked ? Math.min(this.#addedWhileBlocked, this.bytes) : 0
  }

  /** Forgets all that waits; returns the bytes still owed for a chunk that is half out. */
  discard(): Buffer | undefined {
    const rest = this.#backlog?.cutRest
    this.#batch = undefined
    this.#backlog = undefined
    return rest
  }
}
