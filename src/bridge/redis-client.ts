import { Cluster, Redis, type RedisOptions } from 'ioredis'
import type { Script } from './redis-scripts.ts'
import type { RedisTarget } from './redis-url.ts'

/** How a connection attempt, of TCP alone, is bounded. */
const CONNECT_TIMEOUT_MS = 1500

/**
 * One attempt at a connection, without any will of its own: nothing is queued, retried or subscribed again behind our
 * back. A lost one stays lost; redis-link.ts makes the next.
 */
export class RedisClient {
  readonly #isCluster: boolean
  readonly #driver: Redis | Cluster
  readonly #database: number
  /** Resolves, with the reason, when the connection is lost. */
  readonly lost: Promise<Error>

  constructor(target: RedisTarget, connectionName: string) {
    this.#isCluster = target.kind === 'cluster'
    this.#database = target.kind === 'single' ? target.options.db : 0
    this.#driver = createDriver(target, connectionName)
    let lastError = new Error('connection closed')
    this.lost = new Promise((resolve) => {
      this.#driver.on('error', (error: Error) => {
        lastError = error
      })
      this.#driver.on('end', () => resolve(lastError))
    })
  }

  /** Rejects when there is no connection to be had. */
  async connect(): Promise<void> {
    try {
      await this.#driver.connect()
    } catch (error) {
      // ioredis only says that it is closed; why came as an event.
      throw (error as Error).message === 'Connection is closed.' ? await this.lost : error
    }
    // The driver has asked for it too, but goes on in database 0 when that is refused.
    if (this.#database !== 0) await (this.#driver as Redis).select(this.#database)
  }

  /** What a script publishes with. */
  get publishCommand(): 'PUBLISH' | 'SPUBLISH' {
    return this.#isCluster ? 'SPUBLISH' : 'PUBLISH'
  }

  async load(scripts: readonly Script[]): Promise<void> {
    await Promise.all(this.#masters.flatMap((master) => scripts.map(({ lua }) => master.script('LOAD', lua))))
  }

  /** Calls `send` and has the commands that it issues go out in one write a connection. */
  inOneWrite(send: () => void): void {
    const streams = this.#masters.map(({ stream }) => stream)
    for (const stream of streams) stream?.cork()
    try {
      send()
    } finally {
      for (const stream of streams) stream?.uncork()
    }
  }

  run(script: Script, keys: string[], args: (string | number | Buffer)[]): Promise<unknown> {
    return this.#driver.evalsha(script.sha, keys.length, ...keys, ...args)
  }

  /** The same with a reply of buffers. */
  runForBuffers(script: Script, keys: string[], args: (string | number | Buffer)[]): Promise<unknown> {
    return this.#driver.callBuffer('EVALSHA', script.sha, keys.length, ...keys, ...args)
  }

  async ping(): Promise<void> {
    await this.#driver.ping()
  }

  /** Calls `listener` with each message of the subscribed channels. */
  onMessage(listener: (channel: Buffer, payload: Buffer) => void): void {
    this.#driver.on(this.#isCluster ? 'smessageBuffer' : 'messageBuffer', listener)
  }

  /** On Redis Cluster a call takes channels of one slot only. */
  async subscribe(channels: string[]): Promise<void> {
    if (this.#isCluster) await Promise.all(channels.map((channel) => this.#driver.ssubscribe(channel)))
    else await this.#driver.subscribe(...channels)
  }

  async unsubscribe(channels: string[]): Promise<void> {
    if (this.#isCluster) await Promise.all(channels.map((channel) => this.#driver.sunsubscribe(channel)))
    else await this.#driver.unsubscribe(...channels)
  }

  get #masters(): Redis[] {
    return this.#driver instanceof Cluster ? this.#driver.nodes('master') : [this.#driver]
  }

  /** Ends the connection, at once and for good. */
  disconnect(): void {
    this.#driver.disconnect(false)
  }
}

/** ioredis would connect to a Cluster's addresses, for which certificates are seldom made. */
export const keepHostNames = {
  dnsLookup: (host: string, callback: (error: null, address: string) => void) => callback(null, host),
}

function createDriver(target: RedisTarget, connectionName: string): Redis | Cluster {
  const options = {
    connectionName,
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: null,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: null,
  } satisfies RedisOptions
  if (target.kind !== 'cluster') {
    return new Redis({ ...options, ...target.options, sentinelRetryStrategy: () => null })
  }
  const { retryStrategy: _none, enableOfflineQueue: _off, lazyConnect: _lazy, ...nodeOptions } = options
  return new Cluster(target.nodes, {
    lazyConnect: true,
    enableOfflineQueue: false,
    shardedSubscribers: true,
    clusterRetryStrategy: null,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    redisOptions: { ...nodeOptions, ...target.options },
    ...keepHostNames,
  })
}
