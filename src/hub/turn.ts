import { Inbox } from './inbox.ts'
import { Strand } from './strand.ts'

/** After this long the loop gets its turn before more clients are flushed: a large room must not hold it. */
const SLICE_MS = 8
/** So many clients take longer than that, so their flush is cut in any case. */
const MANY = 2048
/**
 * They are cut into these. libuv accepts one connection a turn: with slices of 8 ms no more than 120 a second got in while
 * a room of 10,000 was flushed, fewer than come back where each is cut off every 15 s.
 */
const SLICE_OF_MANY_MS = 2
/** The clock is read once for so many flushes or bytes. */
const FLUSHES_A_LOOK = 32
const BYTES_A_LOOK = 1_048_576
/**
 * Where so much comes in that it is never all looked at, this is taken for one burst: CPU time of the process, so that
 * a machine that gives it half a core does not make the node's clients slow.
 */
const BURST_MAX_CPU_MS = 3000
/** So few clients (about a millisecond) do not wait for a large room whose flush has begun: they go before its rest. */
const FEW = 256

/** Nobody waits longer than this for a rest, and one of less than a timer's half millisecond is not taken. */
const REST_MAX_MS = 4
const REST_MIN_MS = 0.5

/** What a turn needs of a write pump. */
export interface Flushable {
  /** Returns how many bytes it has written; `isAlone`: ahead of the others who get the same frames. */
  flush(isAlone: boolean): number
}

/**
 * Collects the write pumps that have frames to write and flushes each once at the end of the turn of the event loop
 * (setImmediate). The write system call is what fan-out costs, so all frames of a turn go in one.
 */
export class Turn {
  readonly inbox = new Inbox(() => this.#schedule())
  readonly #strands = new Map<string | undefined, Strand>()
  #burst = 1
  /** The CPU time (ms) at which a burst began that is longer than a turn. */
  #burstSince = Infinity
  #dirty: Flushable[] = []
  /** Those of them that have got an answer since the last slice. */
  #answered: Flushable[] = []
  #flushing: Flushable[] = []
  #flushed = 0
  #scheduled = false
  /** How long the flush under way has taken so far. */
  #spentMs = 0
  #restUntilMs = 0
  #onRested: (() => void)[] = []
  #isResting = false

  /** What a room's members are to get in this turn; undefined stands for all clients. */
  strand(room: string | undefined): Strand {
    let strand = this.#strands.get(room)
    if (strand === undefined) {
      strand = new Strand()
      this.#strands.set(room, strand)
    }
    return strand
  }

  /** The number of the present burst: what came in at one time, often in one turn, and in more where that takes long. */
  get burst(): number {
    return this.#burst
  }

  /** Has `pump` flushed at the end of this turn; a pump adds itself once a turn. */
  add(pump: Flushable): void {
    this.#dirty.push(pump)
    this.#schedule()
  }

  /** The pump, added before, has an answer: it does not wait for the flush of many. */
  answer(pump: Flushable): void {
    this.#answered.push(pump)
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
    this.inbox.carryOn()
    const startedAt = performance.now()
    const isMany = Math.max(this.#flushing.length, this.#dirty.length) > MANY
    const sliceMs = isMany ? SLICE_OF_MANY_MS : SLICE_MS
    // Else they go with all others in this slice or the next, and what they ask for then comes together.
    if (isMany) this.#flushAnswered(startedAt + sliceMs / 2)
    this.#answered = []
    if (this.#flushing.length === 0) this.#flushing = this.#takeDirty()
    else if (this.#dirty.length <= FEW) this.#flushFew(startedAt + sliceMs / 2)
    this.#flushed = flushUntil(this.#flushing, this.#flushed, startedAt + sliceMs)
    const now = performance.now()
    this.#spentMs += now - startedAt
    if (this.#flushed === this.#flushing.length) {
      this.#restUntilMs = Math.max(this.#restUntilMs, now + Math.min(this.#spentMs, REST_MAX_MS))
      this.#spentMs = 0
      // Else the clients of a last turn would be kept in memory until there is another.
      this.#flushing = []
      this.#flushed = 0
    }
    const hasMore = this.#flushing.length > 0 || this.#dirty.length > 0
    if (hasMore) this.#schedule()
    this.#countBurst(hasMore || this.inbox.isWaiting)
    if (this.#onRested.length > 0 && !this.#isResting) this.#rest()
  }

  /** A burst is over when all of it is looked at and flushed. */
  #countBurst(hasMore: boolean): void {
    if (!hasMore) {
      this.#endBurst()
      return
    }
    const cpuMs = cpuTimeMs()
    if (this.#burstSince === Infinity) this.#burstSince = cpuMs
    else if (cpuMs - this.#burstSince > BURST_MAX_CPU_MS) this.#endBurst()
  }

  #endBurst(): void {
    this.#burst++
    this.#burstSince = Infinity
  }

  /** So many that are no few are a large room themselves, and go when they would. */
  #flushAnswered(endsAt: number): void {
    if (this.#answered.length <= FEW) flushUntil(this.#answered, 0, endsAt, true)
  }

  /** Half of the slice is left for the large room. */
  #flushFew(endsAt: number): void {
    const few = this.#takeDirty()
    const flushed = flushUntil(few, 0, endsAt)
    // Behind them come those that a flush has added.
    if (flushed < few.length) this.#dirty = [...few.slice(flushed), ...this.#dirty]
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
    this.#strands.clear()
    return dirty
  }
}

/** What the process has used so far; asking costs a microsecond. */
function cpuTimeMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/** Flushes `pumps` from index `from` on; returns the index of the first that is left. */
function flushUntil(pumps: readonly Flushable[], from: number, endsAt: number, isAlone = false): number {
  let index = from
  let bytes = 0
  while (index < pumps.length) {
    bytes += pumps[index++]?.flush(isAlone) ?? 0
    if (index % FLUSHES_A_LOOK !== 0 && bytes < BYTES_A_LOOK) continue
    if (performance.now() > endsAt) break
    bytes = 0
  }
  return index
}
