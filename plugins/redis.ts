import fastifyRedis from '@fastify/redis'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Cluster, Redis } from 'ioredis'
import { DISCONNECT_TIMEOUT_MS } from '../src/bridge/redis-client.ts'
import { parseRedisUrl, type RedisTarget } from '../src/bridge/redis-url.ts'
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

/** For TCP, and for the wait at the start. */
const CONNECT_TIMEOUT_MS = 400
const NAMESPACE = 'roomcast'

/**
 * Decorates with a Redis client for the connection limiter. The bridge has connections of its own, with other rules:
 * here nothing may wait. The client reconnects by itself and is closed with the app.
 */
export const redisPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    const target = config.redisUrl === undefined ? undefined : parseRedisUrl(config.redisUrl)
    const client = target === undefined ? undefined : createClient(target)
    app.decorate<ShortRedis | undefined>('shortRedis', client)
    if (client === undefined) return
    // The bridge's log says when Redis is down; here every refused attempt would say it again.
    client.on('error', () => {})
    if (target?.kind === 'single' && target.options.db !== 0)
      stayOutOfOthers(client as Redis, target.options.db)
    app.addHook('onClose', async () => client.disconnect())
    // @fastify/redis would hold the boot up until Redis is there, so it is told only of a client that is ready.
    if (await isReadySoon(client))
      await app.register(fastifyRedis, { client: client as Redis, namespace: NAMESPACE })
  },
  { name: 'roomcast-redis' },
)

/** ioredis would connect to a Cluster's addresses, for which certificates are seldom made. */
const keepHostNames = {
  dnsLookup: (host: string, callback: (error: null, address: string) => void) => callback(null, host),
}

function createClient(target: RedisTarget): Redis | Cluster {
  const options = {
    connectionName: 'roomcast-limiter',
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
  }
  const retry = (attempts: number) => Math.min(100 * attempts, 1000)
  if (target.kind !== 'cluster') {
    return new Redis({ ...options, ...target.options, retryStrategy: retry, sentinelRetryStrategy: retry })
  }
  const { enableOfflineQueue, ...nodeOptions } = options
  return new Cluster(target.nodes, {
    enableOfflineQueue,
    clusterRetryStrategy: retry,
    redisOptions: { ...nodeOptions, ...target.options },
    ...keepHostNames,
  })
}

/** The driver goes on in database 0 when it is refused the one that was asked for. */
function stayOutOfOthers(client: Redis, database: number): void {
  client.on('ready', () => {
    client.select(database).catch((error: Error) => {
      if (error.name === 'ReplyError') client.disconnect()
    })
  })
}

function isReadySoon(client: Redis | Cluster): Promise<boolean> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      client.off('ready', done)
      resolve(client.status === 'ready')
    }
    const timer = setTimeout(done, CONNECT_TIMEOUT_MS)
    client.on('ready', done)
  })
}
