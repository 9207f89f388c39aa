import { BoundedMap, textEntryBytes } from '../bounded-map.ts'

/** Owners without clients whose buckets are not full yet: so many are remembered, and so many bytes of them. */
const GONE = 100_000
const GONE_BYTES = 32 * 1024 * 1024

/** Frames a second that an owner's clients may send together for long, and at once. */
export interface SharedLimits {
  rate: number
  burst: number
  /** Whether a client that comes goes on with the bucket of its own that another has left behind. */
  isHandedOn: boolean
}

/**
 * The bucket that all clients of one user, or of one address, draw from beside their own. It outlives them until it is
 * full, so that coming back brings nothing. Times are milliseconds of one steady clock.
 */
export class SharedBucket {
  readonly owner: string
  readonly #buckets: SharedBuckets
  #clients = 0
  /** When it is full if nothing more is sent: one number says what is in it, and since when. */
  #fullAtMs = 0
  /** The same for the emptiest of the clients' own buckets that were left behind. */
  #leftFullAtMs = 0

  constructor(owner: string, buckets: SharedBuckets) {
    this.owner = owner
    this.#buckets = buckets
  }

  /** Takes a frame's token; false when there is none. */
  take(nowMs: number): boolean {
    const { msAFrame, msABurst } = this.#buckets
    const fullAtMs = Math.max(this.#fullAtMs, nowMs) + msAFrame
    if (fullAtMs - nowMs > msABurst) return false
    this.#fullAtMs = fullAtMs
    return true
  }

  /** Milliseconds until there is a token; 0 or less when there is one. */
  retryAfterMs(nowMs: number): number {
    const { msAFrame, msABurst } = this.#buckets
    return this.#fullAtMs + msAFrame - msABurst - nowMs
  }

  /** One more client; returns how many milliseconds its own bucket has yet to fill. */
  enter(nowMs: number): number {
    this.#clients++
    return Math.max(0, this.#leftFullAtMs - nowMs)
  }

  /** One less, whose own bucket would be full at `fullAtMs`. */
  leave(fullAtMs: number, nowMs: number): void {
    if (this.#buckets.isHandedOn) this.#leftFullAtMs = Math.max(this.#leftFullAtMs, fullAtMs)
    this.#clients--
    if (this.#clients > 0) return
    const isAsNew = this.#fullAtMs <= nowMs && this.#leftFullAtMs <= nowMs
    this.#buckets.left(this, isAsNew)
  }
}

/** The shared buckets of one node. */
export class SharedBuckets {
  readonly msAFrame: number
  readonly msABurst: number
  readonly isHandedOn: boolean
  /** By owner, of those that have clients. */
  readonly #present = new Map<string, SharedBucket>()
  readonly #gone = new BoundedMap<string, SharedBucket>({
    entries: GONE,
    bytes: GONE_BYTES,
    bytesOf: textEntryBytes,
  })

  constructor({ rate, burst, isHandedOn }: SharedLimits) {
    this.msAFrame = 1000 / rate
    this.msABurst = (burst * 1000) / rate
    this.isHandedOn = isHandedOn
  }

  /** The owner's bucket, for a client that is about to enter it. */
  of(owner: string): SharedBucket {
    const present = this.#present.get(owner)
    if (present !== undefined) return present
    const bucket = this.#gone.get(owner) ?? new SharedBucket(owner, this)
    this.#gone.delete(owner)
    this.#present.set(bucket.owner, bucket)
    return bucket
  }

  /** Told by a bucket that has no clients any more. */
  left(bucket: SharedBucket, isAsNew: boolean): void {
    this.#present.delete(bucket.owner)
    if (!isAsNew) this.#gone.set(bucket.owner, bucket)
  }
}
