import { CHUNK_BYTES } from './batch.ts'
import type { Outbox } from './outbox.ts'
import type { Socket } from './socket.ts'
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
  #onEmpty: (() => void) | undefined
  #drains = 0

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

  /** Queues a frame for the end of this turn; false when the outbox is full. */
  push(frame: Buffer, isReply = false): boolean {
    if (!this.#outbox.offer(frame, this.#turn.root, isReply)) return false
    if (!this.#isDirty) {
      this.#isDirty = true
      this.#turn.add(this)
    }
    return true
  }

  flush(): void {
    this.#isDirty = false
    for (const chunk of this.#outbox.endTurn()) {
      if (this.#outbox.blocked) this.#outbox.keep(chunk)
      else if (chunk.length <= WHOLE_BYTES) this.#write(chunk)
      else {
        this.#outbox.keep(chunk)
        this.#writeBacklog()
      }
    }
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
    if (rest !== undefined) this.#socket.write(rest)
  }

  #write(bytes: Buffer): void {
    if (this.#socket.write(bytes)) return
    this.#outbox.block()
    this.#socket.onceTaken(() => this.#resume())
  }

  /** In pieces of WHOLE_BYTES, so that a large message on a slow link shows progress. */
  #writeBacklog(): void {
    while (!this.#outbox.blocked) {
      const bytes = this.#outbox.take(WHOLE_BYTES)
      if (bytes === undefined) return
      this.#write(bytes)
    }
  }

  #resume(): void {
    this.#drains++
    this.#outbox.unblock()
    this.#writeBacklog()
    this.#outbox.settle()
    if (this.#outbox.bytes === 0 && this.#onEmpty !== undefined) {
      const then = this.#onEmpty
      this.#onEmpty = undefined
      then()
    }
    if (!this.#outbox.blocked) this.#owner.caughtUp()
  }
}
