/** A piece that is less than this share of the memory that it keeps is copied out of it. */
const FAIR_SHARE = 4

/** A first-in-first-out queue of bytes behind a socket that does not keep up. */
export class Backlog {
  #pieces: Buffer[] = []
  #head = 0
  #bytes = 0
  /** Whether the first piece is the rest of one whose beginning was taken. */
  #firstIsCut = false

  get bytes(): number {
    return this.#bytes
  }

  push(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#bytes += piece.length
  }

  /** Takes at most `maxBytes`, in whole pieces, or the beginning of a larger one; nothing when nothing waits. */
  take(maxBytes: number): Buffer[] {
    const first = this.#pieces[this.#head]
    if (first === undefined) return []
    if (first.length > maxBytes) {
      this.#pieces[this.#head] = first.subarray(maxBytes)
      this.#bytes -= maxBytes
      this.#firstIsCut = true
      return [first.subarray(0, maxBytes)]
    }
    this.#firstIsCut = false
    let end = this.#head
    let bytes = 0
    for (let piece = this.#pieces[end]; piece !== undefined; piece = this.#pieces[++end]) {
      if (bytes + piece.length > maxBytes) break
      bytes += piece.length
    }
    const taken = this.#pieces.slice(this.#head, end)
    this.#forget(end, bytes)
    return taken
  }

  /** The bytes still owed for a piece whose beginning was taken. */
  get cutRest(): Buffer | undefined {
    return this.#firstIsCut ? this.#pieces[this.#head] : undefined
  }

  #forget(end: number, bytes: number): void {
    this.#bytes -= bytes
    this.#head = end
    // Half of the array is dead: moving the rest down costs each piece one move on average.
    if (this.#head * 2 >= this.#pieces.length) {
      this.#pieces = this.#pieces.slice(this.#head)
      this.#head = 0
    }
  }
}

/**
 * The same pieces, fit to be kept: a few bytes of a large chunk would keep all of it in memory, for a client that may
 * never read. What is a fair share of its chunk stays shared.
 */
export function worthKeeping(pieces: readonly Buffer[]): readonly Buffer[] {
  const kept = new Map<ArrayBufferLike, number>()
  for (const { buffer, length } of pieces) kept.set(buffer, (kept.get(buffer) ?? 0) + length)
  return pieces.map((piece) => {
    const share = kept.get(piece.buffer) ?? 0
    if (share * FAIR_SHARE >= piece.buffer.byteLength) return piece
    // Not of Node's pool, which a few bytes would keep as well.
    const copy = Buffer.allocUnsafeSlow(piece.length)
    piece.copy(copy)
    return copy
  })
}
