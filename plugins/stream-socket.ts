import type { ServerResponse } from 'node:http'
import type { Socket as TcpSocket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Client } from '../src/hub/client.ts'
import type { Socket } from '../src/hub/socket.ts'

/** Under TLS a write is done in the next turn, or some turns later when it is large, and turns take a while under load. */
const TLS_LAG_MS = 50
const nothing = Buffer.alloc(0)

/** The hub's socket of a client over HTTP: the body of one response, which ends with its connection. */
export class StreamSocket implements Socket {
  readonly #stream: TcpSocket
  readonly #response: ServerResponse

  /** Sends the head, and how long the browser's own client waits before it comes back. */
  constructor(response: ServerResponse, headers: Record<string, string>, retryMs: number) {
    this.#response = response
    this.#stream = response.socket as TcpSocket
    // The body ends with the connection: nothing has to be put between its parts.
    response.shouldKeepAlive = false
    response.removeHeader('transfer-encoding')
    response.writeHead(200, { ...headers, connection: 'close' })
    response.flushHeaders()
    this.#stream.write(`retry: ${retryMs}\n\n`)
    this.#stream.setNoDelay(true)
    this.#stream.setKeepAlive(true, KEEP_ALIVE_MS)
    this.#stream.setTimeout(0)
  }

  serve(client: Client): void {
    this.#stream.on('error', () => this.#stream.destroy())
    this.#stream.once('close', () => client.socketClosed())
    // Gone while its request was looked at: nothing more is told of that.
    if (this.#stream.destroyed) client.socketClosed()
  }

  write(pieces: readonly Buffer[]): boolean {
    const stream = this.#stream
    if (!stream.writable) return true
    const isIdle = stream.writableLength === 0
    if (pieces.length === 1) {
      stream.write(pieces[0] as Buffer)
    } else {
      stream.cork()
      for (const piece of pieces) stream.write(piece)
      stream.uncork()
    }
    return this.lagMs > 0 ? isIdle : stream.writableLength === 0
  }

  get lagMs(): number {
    return this.#stream instanceof TLSSocket ? TLS_LAG_MS : 0
  }

  onceTaken(listener: () => void): void {
    this.#stream.write(nothing, listener)
  }

  get bytesRead(): number {
    return this.#stream.bytesRead
  }

  get bytesWritten(): number {
    return this.#stream.bytesWritten
  }

  /** There is no way to say why; what is to be said is an event of its own. */
  close(): void {
    this.#response.end()
    this.#stream.end()
  }

  destroy(): void {
    this.#stream.destroy()
  }

  pause(): void {}

  resume(): void {}
}

/** The kernel asks a peer that is silent for so long whether it is still there. */
const KEEP_ALIVE_MS = 30_000
