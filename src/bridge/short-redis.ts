import { Cluster, Redis } from 'ioredis'
import { DISCONNECT_TIMEOUT_MS } from './redis-client.ts'
import type { RedisTarget } from './redis-url.ts'

/** For TCP, and for the wait at the start. */
const CONNECT_TIMEOUT_MS = 400

/** A client for commands that may fail and never wait. It reconnects by itself until it is disconnected. */
export function connectShort(target: RedisTarget): Redis | Cluster {
  const client = createClient(target)
  // The bridge's log says when Redis is down; here every refused attempt would say it again.
  client.on('error', () => {})
  if (target.kind === 'single' && target.options.db !== 0) stayOutOfOthers(client as Redis, target.options.db)
  return client
}

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

/** Whether it is connected within CONNECT_TIMEOUT_MS. */
export function isReadySoon(client: Redis | Cluster): Promise<boolean> {
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
