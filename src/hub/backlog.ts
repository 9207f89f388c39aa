/** A first-in-first-out queue of bytes behind a socket that does not keep up. */
export class Backlog {
  #chunks: Buffer[] = []
  #head = 0
  #bytes = 0
  /** Whether the first chunk is the rest of one whose beginning was taken. */
  #firstIsCut = false

  get bytes(): number {
    return this.#bytes
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
  }

  /** Takes at most `maxBytes`: small chunks joined, a larger one cut; undefined when nothing waits. */
  take(maxBytes: number): Buffer | undefined {
    const first = this.#chunks[this.#head]
    if (first === undefined) return undefined
    if (first.length > maxBytes) {
      this.#chunks[this.#head] = first.subarray(maxBytes)
      this.#bytes -= maxBytes
      this.#firstIsCut = true
      return first.subarray(0, maxBytes)
    }
    this.#firstIsCut = false
    let end = this.#head
    let bytes = 0
    for (let chunk = this.#chunks[end]; chunk !== undefined; chunk = this.#chunks[++end]) {
      if (bytes + chunk.length > maxBytes) break
      bytes += chunk.length
    }
    const taken = end - this.#head === 1 ? first : Buffer.concat(this.#chunks.slice(this.#head, end), bytes)
    this.#forget(end, bytes)
    return taken
  }

  /** The bytes still owed for a chunk whose beginning was taken. */
  get cutRest(): Buffer | undefined {
    return this.#firstIsCut ? this.#chunks[this.#head] : undefined
  }

  #forget(end: number, bytes: number): void {
    this.#bytes -= bytes
    this.#head = end
    // Half of the array is dead: moving the rest down costs each chunk one move on average.
    if (this.#head * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#head)
      this.#head = 0
    }
  }
}
