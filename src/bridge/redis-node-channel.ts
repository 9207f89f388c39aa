import type { Log } from '../log.ts'
import type { Scope } from '../protocol/envelope.ts'
import { type BridgeHost, TELL_MAX_BYTES } from './bridge.ts'
import type { RedisClient } from './redis-client.ts'
import { describeFault, isElsewhere } from './redis-fault.ts'
import type { RedisKeys } from './redis-keys.ts'
import { within } from './redis-link.ts'
import { RedisNotes } from './redis-notes.ts'
import { isTell, readTell, tellPayload } from './redis-tell.ts'

/** At most one warning of Redis's refusals in this time. */
const WARNING_MS = 10_000

export interface NodeChannelOptions {
  keys: RedisKeys
  timeoutMs: number
  log: Log
  /** The connection to the master that has what is the nodes'; undefined while it is away. */
  client(): RedisClient | undefined
  /** Asks where the masters are. */
  refresh(): Promise<void>
}

/** What nodes tell each other, beside their announcements, and what they keep for each other. */
export class RedisNodeChannel {
  readonly notes: RedisNotes
  readonly #options: NodeChannelOptions
  #host: BridgeHost | undefined
  #ownChannel = ''
  #warnedAtMs = -Infinity

  constructor(options: NodeChannelOptions) {
    this.#options = options
    this.notes = new RedisNotes({ ...options, onFailure: (error) => this.#onFailure(error) })
  }

  start(host: BridgeHost): void {
    this.#host = host
    this.#ownChannel = this.#options.keys.nodeChannel(host.node)
  }

  async tell(text: string, to: string | undefined): Promise<Scope> {
    const { keys, timeoutMs } = this.#options
    const client = this.#options.client()
    // Nobody would take more.
    if (client === undefined || Buffer.byteLength(text) > TELL_MAX_BYTES) return 'node'
    const channel = to === undefined ? keys.nodesChannel : keys.nodeChannel(to)
    const payload = tellPayload(this.#host?.node ?? '', text)
    try {
      await within(timeoutMs, client.call(client.publishCommand, channel, payload), 'slow')
      return 'cluster'
    } catch (error) {
      this.#onFailure(error as Error)
      return 'node'
    }
  }

  isFor(channel: string, bytes: Buffer): boolean {
    return channel === this.#ownChannel || (channel === this.#options.keys.nodesChannel && isTell(bytes))
  }

  /** False for what no node has told. */
  receive(bytes: Buffer): boolean {
    const tell = readTell(bytes)
    if (tell === undefined) return false
    if (tell.node !== this.#host?.node) this.#host?.tells.hear(tell.node, tell.text)
    return true
  }

  #onFailure(error: Error): void {
    if (isElsewhere(error)) void this.#options.refresh()
    else if (performance.now() - this.#warnedAtMs > WARNING_MS) {
      this.#warnedAtMs = performance.now()
      this.#options.log.warn({ reason: describeFault(error) }, 'what nodes tell each other was refused')
    }
  }
}
