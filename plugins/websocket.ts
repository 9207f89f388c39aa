import type { IncomingMessage } from 'node:http'
import type { Socket as TcpSocket } from 'node:net'
import { TLSSocket } from 'node:tls'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { WebSocket } from 'ws'
import { Refusal } from '../src/auth/refusal.ts'
import type { Config } from '../src/config.ts'
import type { FrameFault } from '../src/hub/cause.ts'
import type { Client } from '../src/hub/client.ts'
import type { ReadPump } from '../src/hub/read-pump.ts'
import type { Socket } from '../src/hub/socket.ts'
import type { Read } from './frame-reader.ts'
import type { OtherListeners } from './other-listeners.ts'
import { guardUpgrades } from './upgrade-guard.ts'

/** The one subprotocol that is spoken. */
const SUBPROTOCOL = 'roomcast.v1'
/** After a Close frame the peer has this long to finish; then the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 2000
/**
 * An unfinished message is kept as it came in, a piece a fragment or TCP segment, at some 200 bytes beside its own. One
 * whose pieces are smaller than this on average ends its client (1008) once they are so many. Libraries with a small
 * write buffer send a fragment a bufferful: 4 KiB often, 256 bytes at least.
 */
const MIN_PIECE_BYTES = 256
const MIN_PIECES = 1024
/** Under TLS a write is done in the next turn, or some turns later when it is large, and turns take a while under load. */
const TLS_LAG_MS = 50
const nothing = Buffer.alloc(0)

/** The hub's socket: ws reads and does the closing handshake, frames are written to the TCP socket as they are. */
export class HubSocket extends WebSocket implements Socket {
  client: Client | undefined
  pump: ReadPump | undefined
  #stream: TcpSocket | undefined

  attach(stream: TcpSocket): void {
    this.#stream = stream
  }

  /** From now on the hub's client and pump get what comes; `read` takes the place of the receiver's own reading. */
  serve(client: Client, pump: ReadPump, read: Read): void {
    this.client = client
    this.pump = pump
    ;(this as unknown as { _receiver: { _write: Read } })._receiver._write = read
  }

  write(pieces: readonly Buffer[]): boolean {
    const stream = this.#stream
    if (stream === undefined || !stream.writable) return true
    const isIdle = stream.writableLength === 0
    if (pieces.length === 1) {
      stream.write(pieces[0] as Buffer)
    } else {
      stream.cork()
      for (const piece of pieces) stream.write(piece)
      stream.uncork()
    }
    // TLS tells in the next turn, at the soonest, that the kernel has taken a write.
    return this.lagMs > 0 ? isIdle : stream.writableLength === 0
  }

  get lagMs(): number {
    return this.#stream instanceof TLSSocket ? TLS_LAG_MS : 0
  }

  onceTaken(listener: () => void): void {
    // 'drain' comes only above the high-water mark; the callback of an empty write comes behind all the others.
    this.#stream?.write(nothing, listener)
  }

  get bytesRead(): number {
    return this.#stream?.bytesRead ?? 0
  }

  get bytesWritten(): number {
    return this.#stream?.bytesWritten ?? 0
  }

  /** Straight to the pump: four listeners a client cost time at each connect, and memory for as long as it stays. */
  override emit(event: string | symbol, ...values: unknown[]): boolean {
    const { client, pump } = this
    if (client === undefined || pump === undefined) return super.emit(event, ...values)
    if (event === 'message') pump.receive(values[0] as Buffer, values[1] as boolean)
    else if (event === 'pong') pump.receivePong(values[0] as Buffer)
    else if (event === 'close') {
      pump.end()
      client.socketClosed()
    }
    // An 'error' is a broken frame or a reset: ws sends the Close and ends the socket, 'close' follows.
    return true
  }

  /** ws answers pings through this. The hub's go through the outbox, counted and in order; a host's own sockets' do not. */
  override pong(data?: unknown, mask?: boolean, done?: (error: Error) => void): void {
    if (this.pump === undefined) {
      super.pong(data, mask, done)
      return
    }
    this.pump.receivePing(data as Buffer)
    ;(done as (() => void) | undefined)?.()
  }

  destroy(): void {
    this.terminate()
  }

  /** ws calls this too, when the peer's Close or a frame that breaks the rules has come: the hub must know at once. */
  override close(code?: number, reason?: string | Buffer): void {
    // A peer's Close brings its reason along, or has no code.
    const fault = code === undefined || reason !== undefined ? undefined : faultOf(code)
    this.pump?.end()
    this.client?.socketClosing(fault?.cause)
    super.close(code, this.client === undefined ? reason : (reason ?? fault?.reason))
  }
}

/** Upgrades of the hub's own route. */
const ofTheHub = new WeakSet<IncomingMessage>()

/** Says that an upgrade is the hub's, and not of a host's own WebSocket route. */
export function markAsHubs(request: IncomingMessage): void {
  ofTheHub.add(request)
}

/** The hub speaks one; a host's routes get what ws gives by itself, the first. */
function chooseProtocol(offered: Set<string>, request: IncomingMessage): string | false {
  if (ofTheHub.has(request)) return offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false
  return offered.values().next().value ?? false
}

/** What ws ends a socket for by itself. */
function faultOf(code: number): { cause: FrameFault; reason: string } {
  if (code === 1009) return { cause: 'messageTooBig', reason: 'message too big' }
  if (code === 1008) return { cause: 'tooManyPieces', reason: 'too many fragments or pieces' }
  if (code === 1007) return { cause: 'badFrame', reason: 'text that is not UTF-8' }
  return { cause: 'badFrame', reason: 'not a valid frame' }
}

/** Registers @fastify/websocket with limits that hold. */
export const websocketPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    const maxPieces = Math.max(MIN_PIECES, Math.ceil(config.maxMessageBytes / MIN_PIECE_BYTES))
    await app.register(fastifyWebsocket, {
      options: {
        WebSocket: HubSocket,
        maxPayload: config.maxMessageBytes,
        maxFragments: maxPieces,
        maxBufferedChunks: maxPieces,
        closeTimeout: CLOSE_TIMEOUT_MS,
        clientTracking: false,
        perMessageDeflate: false,
        handleProtocols: chooseProtocol,
      } as never,
      // The hub drains its clients itself.
      preClose: (done: () => void) => done(),
    })
    const { http2, https } = app.initialConfig
    if (http2 && !(typeof https === 'object' && https.allowHTTP1))
      app.log.warn('this server speaks HTTP/2 only: clients need HTTP/1.1 (https.allowHTTP1) to connect')
    closeOthers(app)
    const others = guardUpgrades(app, config.shutdownGraceMs)
    refuseUpgradesOfPlainRoutes(app, others)
    hideRawPackets(app)
  },
  { name: 'roomcast-websocket' },
)

/** Sockets of the host's own WebSocket routes are no clients of the hub: Fastify's close would wait for them for ever. */
function closeOthers(app: FastifyInstance): void {
  const others = new Set<WebSocket>()
  let isClosing = false
  app.websocketServer.on('connection', (socket: WebSocket, request: IncomingMessage) => {
    if (ofTheHub.has(request)) return
    others.add(socket)
    socket.once('close', () => others.delete(socket))
    // A hook has held its upgrade until now.
    if (isClosing) queueMicrotask(() => socket.close(1001, 'shutting down'))
  })
  app.addHook('preClose', async () => {
    isClosing = true
    for (const socket of others) socket.close(1001, 'shutting down')
  })
}

/**
 * @fastify/websocket would answer 101 and then close. An upgrade that nobody has a route for may be another listener's,
 * who perhaps still asks somebody: it gets no answer from us.
 */
function refuseUpgradesOfPlainRoutes(app: FastifyInstance, others: OtherListeners): void {
  const leaveToOthers = ({ raw }: FastifyRequest, reply: FastifyReply) => {
    reply.hijack()
    reply.raw.detachSocket(raw.socket)
  }
  app.addHook('onRequest', (request, reply, done) => {
    if (request.ws && request.is404 && others.areThere) leaveToOthers(request, reply)
    else done()
  })
  app.addHook('onRoute', (route) => {
    if (route.websocket === true || route.wsHandler !== undefined) return
    const refuse: onRequestHookHandler = (request, reply, done) => {
      if (!request.ws) done()
      else if (others.areThere) leaveToOthers(request, reply)
      else done(new Refusal('bad_upgrade', 'no WebSocket here', { status: 404 }))
    }
    route.onRequest = route.onRequest === undefined ? [refuse] : [refuse, ...[route.onRequest].flat()]
  })
}

/** The parser's errors have the bytes that they are about, a token maybe; Fastify logs them at trace, as loggers do. */
function hideRawPackets(app: FastifyInstance): void {
  app.server.prependListener('clientError', (error: Error) => {
    if ('rawPacket' in error) Object.defineProperty(error, 'rawPacket', { enumerable: false })
  })
}
