import { Batch } from './batch.ts'

/** After this long the loop gets its turn before more clients are flushed: a large room must not hold it. */
const SLICE_MS = 8
/** The clock is read once for so many flushes. */
const FLUSHES_A_LOOK = 32
/** So few clients (about a millisecond) do not wait for a large room whose flush has begun: they go before its rest. */
const FEW = 256

/** Nobody waits longer than this for a rest, and one of less than a timer's half millisecond is not taken. */
const REST_MAX_MS = 4
const REST_MIN_MS = 0.5

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
  /** How long the flush under way has taken so far. */
  #spentMs = 0
  #restUntilMs = 0
  #onRested: (() => void)[] = []
  #isResting = false

  /** Where this turn's batches begin. */
  get root(): Batch {
    return this.#root
  }

  /** Has `pump` flushed at the end of this turn; a pump adds itself once a turn. */
  add(pump: Flushable): void {
    this.#dirty.push(pump)
    this.#schedule()
  }

  /**
   * Calls `then`, which must not throw, when this turn's frames are flushed and the node has rested: for as long as
   * the flush took. What the clients send in answer comes together then.
   */
  onceRested(then: () => void): void {
    this.#onRested.push(then)
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
    const now = performance.now()
    this.#spentMs += now - startedAt
    if (this.#flushed === this.#flushing.length) {
      this.#restUntilMs = Math.max(this.#restUntilMs, now + Math.min(this.#spentMs, REST_MAX_MS))
      this.#spentMs = 0
      // Else the clients of a last turn would be kept in memory until there is another.
      this.#flushing = []
      this.#flushed = 0
    }
    if (this.#flushing.length > 0 || this.#dirty.length > 0) this.#schedule()
    if (this.#onRested.length > 0 && !this.#isResting) this.#rest()
  }

  /** A large room's flush is not waited for. */
  #rest(): void {
    const restMs = this.#flushing.length > 0 ? 0 : this.#restUntilMs - performance.now()
    if (restMs < REST_MIN_MS) {
      this.#endRest()
      return
    }
    this.#isResting = true
    setTimeout(this.#endRest, restMs)
  }

  readonly #endRest = (): void => {
    this.#isResting = false
    const waiting = this.#onRested
    this.#onRested = []
    for (const then of waiting) then()
  }

  /** A client that is still to be flushed is not among them: what it got meanwhile goes with its older frames. */
  #takeDirty(): Flushable[] {
    const dirty = this.#dirty
    this.#dirty = []
    this.#root = Batch.empty()
    return dirty
  }
}
