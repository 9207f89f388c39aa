import { createRequire } from 'node:module'
import { BoundedMap } from '../src/bounded-map.ts'
import type { ShortRedis } from './redis.ts'

/** `current` is the count in the present window, which lasts for `ttl` more milliseconds. */
type Callback = (error: Error | null, counted: { current: number; ttl: number }) => void
interface Store {
  incr(key: string, callback: Callback, windowMs: number, max: number): void
}
/** @fastify/rate-limit exports its store by path and without types. */
const RedisStore = createRequire(import.meta.url)('@fastify/rate-limit/store/RedisStore.js') as new (
  continueExceeding: boolean,
  exponentialBackoff: boolean,
  redis: unknown,
  prefix: string,
) => Store

/**
 * Addresses that one node counts for itself; beyond that those not heard of for longest are forgotten. So many once
 * more are kept of those that have used up half of the limit.
 */
const LOCAL_ADDRESSES = 50_000
/** An upgrade waits for Redis this long at most. */
const REDIS_TIMEOUT_MS = 400
/** After a failure Redis is left alone for this long, so that not every upgrade waits for it. */
const REDIS_REST_MS = 1000
/** With an answer owed for this long, also to the connection's own beginning, it is given up: nobody may be there. */
const REDIS_GIVE_UP_MS = 3000

/**
 * Counts connections by address: in Redis for all nodes where there is one, else, and whenever Redis fails, on this
 * node. The callback never gets an error.
 */
export function connectionCounts(redis: ShortRedis | undefined, prefix: string): Store {
  const local = new LocalCounts()
  return redis === undefined ? local : new SharedCounts(redis, prefix, local)
}

/** Counts in Redis, and on this node what Redis does not count in time. */
class SharedCounts implements Store {
  readonly #redis: ShortRedis
  readonly #store: Store
  readonly #local: Store
  #restsUntilMs = -Infinity
  /** Counts that Redis owes for longer than an upgrade waits. */
  #owed = 0
  /** Since when Redis owes counts, or is connected and not ready; undefined when neither is so. */
  #silentSinceMs: number | undefined

  constructor(redis: ShortRedis, prefix: string, local: Store) {
    this.#redis = redis
    this.#store = new RedisStore(false, false, redis, `${prefix}connections:`)
    this.#local = local
  }

  incr(key: string, callback: Callback, windowMs: number, max: number): void {
    if (!this.#mayAsk()) {
      this.#local.incr(key, callback, windowMs, max)
      return
    }
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#owed++
      this.#local.incr(key, callback, windowMs, max)
    }, REDIS_TIMEOUT_MS)
    const whenCounted: Callback = (error, result) => {
      clearTimeout(timer)
      if (error !== null) this.#restsUntilMs = performance.now() + REDIS_REST_MS
      if (isLate) this.#owed--
      else if (error === null) callback(null, result)
      else this.#local.incr(key, callback, windowMs, max)
    }
    this.#store.incr(key, whenCounted, windowMs, max)
  }

  /** A frozen Redis counts what it was asked when it thaws. So it is asked no more while it owes anything. */
  #mayAsk(): boolean {
    const now = performance.now()
    const { status } = this.#redis
    if (this.#owed === 0 && status !== 'connect') this.#silentSinceMs = undefined
    else this.#silentSinceMs ??= now
    if (this.#silentSinceMs !== undefined && now - this.#silentSinceMs > REDIS_GIVE_UP_MS) {
      this.#silentSinceMs = now
      this.#redis.disconnect(true)
    }
    return status === 'ready' && this.#owed === 0 && now >= this.#restsUntilMs
  }
}

/** An address's connections. */
interface Window {
  readonly address: string
  count: number
  beganMs: number
}

/**
 * Counts in windows that begin with an address's first connection, by the steady clock. Addresses of few connections
 * and of many are kept apart: to have a large count forgotten takes others with large counts, not a flood of new ones.
 */
class LocalCounts implements Store {
  readonly #few = new BoundedMap<string, Window>(LOCAL_ADDRESSES)
  readonly #many = new BoundedMap<string, Window>(LOCAL_ADDRESSES)

  incr(key: string, callback: Callback, windowMs: number, max: number): void {
    const now = performance.now()
    const known = this.#many.get(key) ?? this.#few.get(key)
    const isOver = known !== undefined && now - known.beganMs >= windowMs
    // A copy: the address may be a part of a header, and would keep all of that.
    const window = known ?? { address: Buffer.from(key).toString(), count: 0, beganMs: now }
    if (isOver) Object.assign(window, { count: 0, beganMs: now })
    window.count++
    this.#keep(window, window.count > 1 && 2 * window.count > max)
    callback(null, { current: window.count, ttl: windowMs - (now - window.beganMs) })
  }

  #keep(window: Window, isMany: boolean): void {
    const [kept, other] = isMany ? [this.#many, this.#few] : [this.#few, this.#many]
    other.delete(window.address)
    kept.set(window.address, window)
  }
}
