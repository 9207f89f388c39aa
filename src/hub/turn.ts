import { Batch } from './batch.ts'

/** After this long the loop gets its turn before more clients are flushed: a large room must not hold it. */
const SLICE_MS = 8
/** The clock is read once for so many flushes. */
const FLUSHES_A_LOOK = 32
/** So few clients (about a millisecond) do not wait for a large room whose flush has begun: they go before its rest. */
const FEW = 256

/** What a turn needs of a write pump. */
export interface Flushable {
  flush(): void
}

/**
 * Collects the write pumps that have frames to write and flushes each once at the end of the turn of the event loop
 * (setImmediate). The write system call is what fan-out costs, so all frames of a turn go in one.
 */
export class Turn {
  #root = Batch.empty()
  #dirty: Flushable[] = []
  #flushing: Flushable[] = []
  #flushed = 0
  #scheduled = false

  /** Where this turn's batches begin. */
  get root(): Batch {
    return this.#root
  }

  /** Has `pump` flushed at the end of this turn; a pump adds itself once a turn. */
  add(pump: Flushable): void {
    this.#dirty.push(pump)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#scheduled = false
    if (this.#flushing.length === 0) this.#flushing = this.#takeDirty()
    else if (this.#dirty.length <= FEW) for (const pump of this.#takeDirty()) pump.flush()
    const startedAt = performance.now()
    while (this.#flushed < this.#flushing.length) {
      this.#flushing[this.#flushed++]?.flush()
      if (this.#flushed % FLUSHES_A_LOOK === 0 && performance.now() - startedAt > SLICE_MS) break
    }
    if (this.#flushed === this.#flushing.length) {
      // Else the clients of a last turn would be kept in memory until there is another.
      this.#flushing = []
      this.#flushed = 0
    }
    if (this.#flushing.length > 0 || this.#dirty.length > 0) this.#schedule()
  }

  /** A client that is still to be flushed is not among them: what it got meanwhile goes with its older frames. */
  #takeDirty(): Flushable[] {
    const dirty = this.#dirty
    this.#dirty = []
    this.#root = Batch.empty()
    return dirty
  }
}
