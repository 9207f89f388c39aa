import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Redis } from 'ioredis'
import { parseRedisUrl } from '../src/bridge/redis-url.ts'
import type { Config } from '../src/config.ts'

/** An ioredis client, of one server or of a Cluster, that never queues. */
export interface ShortRedis {
  readonly status: string
  /** Ends the connection; what is not answered is rejected. */
  disconnect(reconnect: boolean): void
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Redis for short commands whose failure can be borne; undefined without REDIS_URL. */
    shortRedis: ShortRedis | undefined
  }
}

const NAMESPACE = 'roomcast'

/**
 * Decorates with a Redis client for the connection limiter. The bridge has connections of its own, with other rules:
 * here nothing may wait. The client reconnects by itself and is closed with the app.
 */
export const redisPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    const target = config.redisUrl === undefined ? undefined : parseRedisUrl(config.redisUrl)
    if (target === undefined) {
      app.decorate('shortRedis', undefined)
      return
    }
    // Loaded where it is wanted: a driver takes time and memory.
    const { connectShort, isReadySoon } = await import('../src/bridge/short-redis.ts')
    const client = connectShort(target)
    app.decorate<ShortRedis | undefined>('shortRedis', client)
    app.addHook('onClose', async () => client.disconnect())
    // @fastify/redis would hold the boot up until Redis is there, so it is told only of a client that is ready.
    if (!(await isReadySoon(client))) return
    const { default: fastifyRedis } = await import('@fastify/redis')
    await app.register(fastifyRedis, { client: client as Redis, namespace: NAMESPACE })
  },
  { name: 'roomcast-redis' },
)
