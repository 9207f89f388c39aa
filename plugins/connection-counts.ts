import { createRequire } from 'node:module'
import type { ShortRedis } from './redis.ts'

/** `current` is the count in the present window, which lasts for `ttl` more milliseconds. */
type Callback = (error: Error | null, counted: { current: number; ttl: number }) => void
/** The stores of @fastify/rate-limit, which exports them by path and without types. */
interface Store {
  incr(key: string, callback: Callback, windowMs: number, max: number): void
}
const require = createRequire(import.meta.url)
const LocalStore = require('@fastify/rate-limit/store/LocalStore.js') as new (
  continueExceeding: boolean,
  exponentialBackoff: boolean,
  cache: number,
) => Store
const RedisStore = require('@fastify/rate-limit/store/RedisStore.js') as new (
  continueExceeding: boolean,
  exponentialBackoff: boolean,
  redis: unknown,
  prefix: string,
) => Store

/** Addresses that one node counts for itself; beyond that the longest unseen are forgotten. */
const LOCAL_ADDRESSES = 50_000
/** After a failure Redis is left alone for this long, so that not every upgrade waits for it. */
const REDIS_REST_MS = 1000

/**
 * Counts connections by address: in Redis for all nodes where there is one, else, and whenever Redis fails, on this
 * node. The callback never gets an error.
 */
export function connectionCounts(redis: ShortRedis | undefined, prefix: string): Store {
  const local = new LocalStore(false, false, LOCAL_ADDRESSES)
  const shared =
    redis === undefined ? undefined : new RedisStore(false, false, redis, `${prefix}connections:`)
  let restsUntilMs = -Infinity

  return {
    incr(key, callback, windowMs, max) {
      if (shared === undefined || redis?.status !== 'ready' || performance.now() < restsUntilMs) {
        local.incr(key, callback, windowMs, max)
        return
      }
      const whenCounted: Callback = (error, result) => {
        if (error === null) {
          callback(null, result)
          return
        }
        restsUntilMs = performance.now() + REDIS_REST_MS
        local.incr(key, callback, windowMs, max)
      }
      shared.incr(key, whenCounted, windowMs, max)
    },
  }
}
