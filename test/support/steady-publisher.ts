// Numbered messages on a steady beat, each with a key and sent again until it has reached the whole cluster.
import { type Client, connect } from './client.ts'
import type { Address } from './raw-socket.ts'
import { pace, pollUntil } from './until.ts'

/** Timers hold no more. */
const FOREVER_MS = 2 ** 31 - 1

export interface PublisherOptions {
  room: string
  user: string
  everyMs: number
  /** Where to connect; asked before each attempt. */
  address: () => Address
}

export class SteadyPublisher {
  /** How many were begun; the numbers are 0 and up. */
  sent = 0
  /** Acks that said `node`, and those that said `duplicate`. */
  nodeScoped = 0
  duplicates = 0
  readonly #options: PublisherOptions
  /** Texts without an ack for the cluster, by number, in order. */
  readonly #unacked = new Map<number, string>()
  #client: Client | undefined
  #isOn = true
  readonly #beating: Promise<void>
  readonly #connected: Promise<void>

  constructor(options: PublisherOptions) {
    this.#options = options
    this.#beating = this.#beat()
    this.#connected = this.#stayConnected()
  }

  /** No new ones; resolves when each has reached the cluster. */
  async finish(deadlineMs = 30_000): Promise<void> {
    this.#isOn = false
    // The beat under way still sends one.
    await this.#beating
    await pollUntil(`${this.#unacked.size} acks`, () => this.#unacked.size === 0, deadlineMs)
    this.#client?.socket.destroy()
    await this.#connected
  }

  abandon(): void {
    this.#isOn = false
    this.#unacked.clear()
    this.#client?.socket.destroy()
  }

  async #beat(): Promise<void> {
    const startMs = performance.now()
    while (this.#isOn) {
      await pace(Math.max(0, startMs + this.sent * this.#options.everyMs - performance.now()))
      const n = this.sent++
      const { room } = this.#options
      const content = { n, atMs: performance.now() }
      const text = JSON.stringify({ type: 'message', room, id: n, key: `n${n}`, content })
      this.#unacked.set(n, text)
      this.#client?.send(text)
    }
  }

  async #stayConnected(): Promise<void> {
    while (this.#isOn || this.#unacked.size > 0) {
      try {
        const { address, user, room } = this.#options
        const client = await connect(address(), user, {}, { record: false })
        client.onEnvelope = ({ type, id, scope, duplicate }) => {
          if (type !== 'ack') return
          const n = Number(id)
          if (duplicate === true) this.duplicates++
          if (scope === 'cluster') this.#unacked.delete(n)
          else if (this.#unacked.has(n)) {
            this.nodeScoped++
            setTimeout(() => client.send(this.#unacked.get(n) ?? '{"type":"ping"}'), 100)
          }
        }
        client.send({ type: 'join', room })
        for (const text of this.#unacked.values()) client.send(text)
        this.#client = client
        await client.socket.until(
          'the end',
          () => client.socket.end ?? client.socket.tcp.destroyed,
          FOREVER_MS,
        )
        client.socket.destroy()
      } catch {
        // Refused; the next attempt follows.
      }
      this.#client = undefined
      await pace(50)
    }
  }
}
