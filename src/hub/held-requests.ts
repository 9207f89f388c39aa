import { getHeapStatistics } from 'node:v8'

const MIB = 1024 * 1024
/** Of the heap that the process may have, and in any case. */
const HEAP_PART = 1 / 8
const MOST_BYTES = 256 * MIB
/** What one client may hold however much is held: cutting it would free little. */
export const SMALL_BYTES = 64 * 1024

/** The bytes of requests that all clients together have waiting here. */
export class HeldRequests {
  readonly #most: number
  #bytes = 0

  constructor(most = Math.min(MOST_BYTES, getHeapStatistics().heap_size_limit * HEAP_PART)) {
    this.#most = most
  }

  add(bytes: number): void {
    this.#bytes += bytes
  }

  /** From here on each client waits with its peer as soon as it holds more than a little. */
  get isMuch(): boolean {
    return this.#bytes >= this.#most / 2
  }

  /** No more is taken: a client that holds more than a little is closed. */
  get isTooMuch(): boolean {
    return this.#bytes >= this.#most
  }
}
