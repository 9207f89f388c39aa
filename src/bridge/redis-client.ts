import { Redis } from 'ioredis'
import type { Script } from './redis-scripts.ts'
import type { Address, Login } from './redis-url.ts'

/** How a connection attempt, of TCP alone, is bounded. */
const CONNECT_TIMEOUT_MS = 1500
/** After its end a connection is destroyed. The driver waits so long even when it is closed already. */
export const DISCONNECT_TIMEOUT_MS = 50

/** One server, and how to log in there. */
export interface RedisServer extends Address, Login {
  db?: number
}

export interface RedisClientOptions {
  /** What `CLIENT LIST` calls the connection. */
  name: string
  /** Whether channels are sharded, as on a Cluster's master: a slot's messages stay on its server. */
  isSharded?: boolean
}

/**
 * One attempt at a connection to one server, without any will of its own: nothing is queued, retried or subscribed
 * again behind our back. A lost one stays lost; redis-link.ts makes the next.
 */
export class RedisClient {
  readonly #isSharded: boolean
  readonly #driver: Redis
  readonly #database: number
  /** Resolves, with the reason, when the connection is lost. */
  readonly lost: Promise<Error>

  constructor(server: RedisServer, { name, isSharded = false }: RedisClientOptions) {
    this.#isSharded = isSharded
    this.#database = server.db ?? 0
    this.#driver = new Redis({
      ...server,
      connectionName: name,
      lazyConnect: true,
      enableOfflineQueue: false,
      // It would ask INFO and wait while Redis loads its data, without a word of why.
      enableReadyCheck: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: null,
      connectTimeout: CONNECT_TIMEOUT_MS,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      retryStrategy: null,
    })
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
    if (this.#database !== 0) await this.#driver.select(this.#database)
  }

  /** What a script publishes with. */
  get publishCommand(): 'PUBLISH' | 'SPUBLISH' {
    return this.#isSharded ? 'SPUBLISH' : 'PUBLISH'
  }

  async load(scripts: readonly Script[]): Promise<void> {
    await Promise.all(scripts.map(({ lua }) => this.#driver.script('LOAD', lua)))
  }

  /** Calls `send` and has the commands that it issues go out in one write. */
  inOneWrite(send: () => void): void {
    const { stream } = this.#driver
    stream?.cork()
    try {
      send()
    } finally {
      stream?.uncork()
    }
  }

  run(script: Script, keys: string[], args: (string | number | Buffer)[]): Promise<unknown> {
    return this.#driver.evalsha(script.sha, keys.length, ...keys, ...args)
  }

  /** The same with a reply of buffers. */
  runForBuffers(script: Script, keys: string[], args: (string | number | Buffer)[]): Promise<unknown> {
    return this.#driver.callBuffer('EVALSHA', script.sha, keys.length, ...keys, ...args)
  }

  /** Any other command. */
  call(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#driver.call(command, ...args)
  }

  async ping(): Promise<void> {
    await this.#driver.ping()
  }

  /** Calls `listener` with each message of the subscribed channels. */
  onMessage(listener: (channel: Buffer, payload: Buffer) => void): void {
    this.#driver.on(this.#isSharded ? 'smessageBuffer' : 'messageBuffer', listener)
  }

  /** Calls `listener` when the server has given up subscriptions by itself, as it does with those of a slot that moves. */
  onGivenUp(listener: () => void): void {
    this.#driver.on('moved', listener)
  }

  /** The channels that the server has confirmed and not given up. */
  subscribed(): Set<string> {
    const { subscriber } = this.#driver.condition ?? {}
    return new Set(subscriber ? subscriber.channels(this.#isSharded ? 'ssubscribe' : 'subscribe') : [])
  }

  /** Resolves with what each channel came to: undefined when it is confirmed, or why not. */
  async subscribe(channels: readonly string[]): Promise<(Error | undefined)[]> {
    const fault = (reason: unknown) => reason as Error
    const done = () => undefined
    // On a Cluster a call takes channels of one slot only.
    if (this.#isSharded)
      return Promise.all(channels.map((channel) => this.#driver.ssubscribe(channel).then(done, fault)))
    const one = await this.#driver.subscribe(...channels).then(done, fault)
    return channels.map(() => one)
  }

  async unsubscribe(channels: readonly string[]): Promise<void> {
    if (this.#isSharded) await Promise.all(channels.map((channel) => this.#driver.sunsubscribe(channel)))
    else await this.#driver.unsubscribe(...channels)
  }

  /** Ends the connection, at once and for good. */
  disconnect(): void {
    this.#driver.disconnect(false)
  }
}
