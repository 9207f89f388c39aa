import type { Outbox } from './outbox.ts'
import type { Socket } from './socket.ts'
import { CHUNK_BYTES } from './strand.ts'
import type { Flushable, Turn } from './turn.ts'

/** So much goes in one write: 64 KiB of content with its envelope, too. */
export const WHOLE_BYTES = CHUNK_BYTES + 4096

/** Moves one client's frames from its outbox to its socket: one write a turn, and no more than the socket takes. */
export class WritePump implements Flushable {
  readonly #socket: Socket
  readonly #outbox: Outbox
  readonly #turn: Turn
  /** The client, told when it has caught up after it had a backlog. */
  readonly #owner: { caughtUp(): void }
  #isDirty = false
  #isAnswered = false
  #onEmpty: (() => void) | undefined
  #drains = 0
  #blockedAt = 0

  constructor(socket: Socket, outbox: Outbox, turn: Turn, owner: { caughtUp(): void }) {
    this.#socket = socket
    this.#outbox = outbox
    this.#turn = turn
    this.#owner = owner
  }

  /** How often the peer has taken up a kernel buffer that was full: a sign of life. */
  get drains(): number {
    return this.#drains
  }

  /** Whether the socket's buffers are full. It may be blocked for less than that: see `lagMs`. */
  get isStuck(): boolean {
    return this.#outbox.blocked && this.#wasStuck()
  }

  /** Queues a room's frame for the end of this turn; false when the outbox is full. */
  pushShared(frame: Buffer, room: string | undefined): boolean {
    if (!this.#outbox.offerShared(frame, room)) return false
    this.#addToTurn()
    return true
  }

  /** The same with a frame that nobody else gets. */
  pushOwn(frame: Buffer): boolean {
    if (!this.#outbox.offerOwn(frame)) return false
    this.#addToTurn()
    if (!this.#isAnswered) {
      this.#isAnswered = true
      this.#turn.answer(this)
    }
    return true
  }

  flush(isAlone = false): number {
    // What waits anyway, waits as part of what all get.
    if (isAlone && this.#outbox.blocked) return 0
    this.#isDirty = this.#isAnswered = false
    let bytes = 0
    if (this.#outbox.isBehind && !this.#outbox.blocked) {
      bytes += this.#writeBacklog(Infinity)
      this.#settle()
    }
    const pieces = this.#outbox.endTurn(isAlone)
    let next = 0
    while (next < pieces.length && !this.#outbox.blocked) {
      const end = endOfWhole(pieces, next)
      const group = end - next === pieces.length ? pieces : pieces.slice(next, end)
      bytes += (pieces[next] as Buffer).length > WHOLE_BYTES ? this.#writeCut(group) : this.#write(group)
      next = end
    }
    if (next < pieces.length) this.#outbox.keep(next === 0 ? pieces : pieces.slice(next))
    return bytes
  }

  /** Writes all that waits, however long the peer takes, and then calls `then`, at once if nothing waits. */
  finish(then: () => void): void {
    this.flush()
    if (this.#outbox.bytes === 0) then()
    else this.#onEmpty = then
  }

  /** Drops what waits; a frame that is half out is still completed, so that a Close can follow it. */
  abandon(): void {
    const rest = this.#outbox.discard()
    if (rest !== undefined) this.#socket.write([rest])
  }

  #addToTurn(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.#turn.add(this)
  }

  #write(pieces: readonly Buffer[]): number {
    if (!this.#socket.write(pieces)) {
      this.#outbox.block()
      this.#blockedAt = performance.now()
      this.#socket.onceTaken(() => this.#resume())
    }
    return lengthOf(pieces)
  }

  #writeCut(pieces: readonly Buffer[]): number {
    this.#outbox.keep(pieces)
    return this.#writeBacklog(Infinity)
  }

  /** In pieces of WHOLE_BYTES, so that a large message on a slow link shows progress. */
  #writeBacklog(maxBytes: number): number {
    let bytes = 0
    while (!this.#outbox.blocked && this.#outbox.isBehind && bytes < maxBytes)
      bytes += this.#write(this.#outbox.take(WHOLE_BYTES))
    return bytes
  }

  #resume(): void {
    if (this.#wasStuck()) this.#drains++
    this.#outbox.unblock()
    // More waits for the end of the turn: many sockets may have room at one time.
    this.#writeBacklog(WHOLE_BYTES)
    this.#settle()
    if (this.#outbox.isBehind && !this.#outbox.blocked) this.#addToTurn()
  }

  /** After a round of writing what waits. */
  #settle(): void {
    this.#outbox.settle()
    if (this.#outbox.bytes === 0 && this.#onEmpty !== undefined) {
      const then = this.#onEmpty
      this.#onEmpty = undefined
      then()
    }
    if (!this.#outbox.blocked && !this.#outbox.isBehind) this.#owner.caughtUp()
  }

  #wasStuck(): boolean {
    return performance.now() - this.#blockedAt >= this.#socket.lagMs
  }
}

/** Where the pieces from `from` on that go in one write end. */
function endOfWhole(pieces: readonly Buffer[], from: number): number {
  let end = from + 1
  let bytes = pieces[from]?.length ?? 0
  for (let piece = pieces[end]; piece !== undefined; piece = pieces[++end]) {
    bytes += piece.length
    if (bytes > WHOLE_BYTES) break
  }
  return end
}

function lengthOf(pieces: readonly Buffer[]): number {
  let bytes = 0
  for (const { length } of pieces) bytes += length
  return bytes
}
