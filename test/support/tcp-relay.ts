// A TCP relay that can go silent on some or all of its connections: no FIN, no RST, the bytes are held.
import { connect as connectTcp, createServer, type Server, type Socket } from 'node:net'

/** So much of what a client has said is searched for the words that tell connections apart. */
const SAID_CHARS = 65_536

interface Relayed {
  client: Socket
  upstream: Socket
  /** The beginning of what the client has sent. */
  said: string
  isFrozen: boolean
  /** What the client said when it was frozen; it goes on at `heal`. */
  held: Buffer[]
}

export class TcpRelay {
  port = 0
  /** Where new connections go; those there are stay where they are. */
  target: number
  /** Added to each direction. */
  latencyMs = 0
  readonly #server: Server
  readonly #connections = new Set<Relayed>()
  /** Connections that have said this are frozen; '' freezes all. */
  #frozenWord: string | undefined

  static async open(target: number): Promise<TcpRelay> {
    const relay = new TcpRelay(target)
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve))
    relay.port = (relay.#server.address() as { port: number }).port
    return relay
  }

  constructor(target: number) {
    this.target = target
    this.#server = createServer((client) => this.#accept(client))
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** The ports from which it speaks to the target, of connections whose client has said the word. */
  upstreamPorts(word = ''): number[] {
    return [...this.#connections]
      .filter(({ said }) => said.includes(word))
      .map(({ upstream }) => upstream.localPort ?? 0)
  }

  /**
   * From now on nothing more is forwarded, either way, on connections whose client has said this word (in lower case)
   * or says it later; without a word on any. Neither end is told.
   */
  freeze(word = ''): void {
    this.#frozenWord = word.toLowerCase()
    for (const one of this.#connections) this.#freezeIfMeant(one)
  }

  /** Forwards again, what was held first. */
  heal(): void {
    this.#frozenWord = undefined
    for (const one of this.#connections) {
      if (!one.isFrozen) continue
      one.isFrozen = false
      for (const chunk of one.held.splice(0)) one.upstream.write(chunk)
      one.client.resume()
      one.upstream.resume()
    }
  }

  /** Resets the connections whose client has said the word, at both ends. */
  cut(word = ''): void {
    for (const { said, client, upstream } of this.#connections) {
      if (!said.includes(word)) continue
      client.resetAndDestroy()
      upstream.destroy()
    }
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    // Not reset: a write under way on such a socket may never end, and Node's own end waits for it.
    for (const { client, upstream } of this.#connections) {
      client.destroy()
      upstream.destroy()
    }
    await closed
  }

  #accept(client: Socket): void {
    const upstream = connectTcp({ host: '127.0.0.1', port: this.target })
    const one: Relayed = { client, upstream, said: '', isFrozen: false, held: [] }
    this.#connections.add(one)
    client.setNoDelay(true)
    upstream.setNoDelay(true)
    this.#freezeIfMeant(one)
    client.on('data', (chunk) => this.#onClientData(one, chunk))
    upstream.on('data', (chunk) => this.#forward(client, chunk))
    const end = () => {
      this.#connections.delete(one)
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) socket.on('error', () => {}).on('close', end)
  }

  #onClientData(one: Relayed, chunk: Buffer): void {
    if (one.said.length < SAID_CHARS) one.said += chunk.toString('latin1').toLowerCase()
    this.#freezeIfMeant(one)
    if (one.isFrozen) one.held.push(chunk)
    else this.#forward(one.upstream, chunk)
  }

  #freezeIfMeant(one: Relayed): void {
    if (this.#frozenWord === undefined || !one.said.includes(this.#frozenWord)) return
    one.isFrozen = true
    one.client.pause()
    one.upstream.pause()
  }

  #forward(to: Socket, chunk: Buffer): void {
    if (this.latencyMs === 0) to.write(chunk)
    else setTimeout(() => to.write(chunk), this.latencyMs)
  }
}
