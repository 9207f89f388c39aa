import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket as TcpSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { WebSocket } from 'ws'
import { Refusal } from '../src/auth/refusal.ts'
import { type Config, ConfigError } from '../src/config.ts'
import type { Client, FrameFault } from '../src/hub/client.ts'
import type { ReadPump } from '../src/hub/read-pump.ts'
import type { Socket } from '../src/hub/socket.ts'
import { type UpgradeListener, UpgradeQueue } from './upgrade-queue.ts'

/** The one subprotocol that is spoken. */
const SUBPROTOCOL = 'roomcast.v1'
/** After a Close frame the peer has this long to finish; then the socket is destroyed. */
const CLOSE_TIMEOUT_MS = 2000
/** A message may come in so many fragments, which bounds what an unfinished one costs beside its bytes. */
const MAX_FRAGMENTS = 1024
/**
 * An unfinished frame is kept as it came in, a piece a TCP segment, at some 200 bytes beside its own. A frame whose
 * pieces are smaller than this on average ends its client (1008) once they are so many.
 */
const MIN_CHUNK_BYTES = 256
const MIN_CHUNKS = 1024
/** An upgrade that was neither done nor refused and closed by then is cut; hooks may take 0.5 s for Redis. */
const UPGRADE_TIMEOUT_MS = 3500
const UPGRADE_SWEEP_MS = 500
/** Where upgrades go whose target cannot be decoded: Fastify would answer them but leave the socket open. */
const UNROUTABLE = '/undecodable-target'

const nothing = Buffer.alloc(0)

/** The hub's socket: ws reads and does the closing handshake, frames are written to the TCP socket as they are. */
export class HubSocket extends WebSocket implements Socket {
  client: Client | undefined
  pump: ReadPump | undefined
  #stream: TcpSocket | undefined

  attach(stream: TcpSocket): void {
    this.#stream = stream
  }

  write(bytes: Buffer): boolean {
    const stream = this.#stream
    if (stream === undefined || !stream.writable) return true
    stream.write(bytes)
    return stream.writableLength === 0
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
    else if (event === 'close') client.socketClosed()
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
    this.client?.socketClosing(fault?.cause)
    super.close(code, this.client === undefined ? reason : (reason ?? fault?.reason))
  }
}

/** What ws ends a socket for by itself. */
function faultOf(code: number): { cause: FrameFault; reason: string } {
  if (code === 1009) return { cause: 'messageTooBig', reason: 'message too big' }
  if (code === 1007) return { cause: 'badFrame', reason: 'text that is not UTF-8' }
  return { cause: 'badFrame', reason: 'not a valid frame' }
}

/** Registers @fastify/websocket with limits that hold, and gives back the descriptor of every upgrade that fails. */
export const websocketPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    if (app.hasDecorator('websocketServer')) {
      throw new ConfigError(
        '@fastify/websocket is registered already; leave that to roomcast, your routes can use it',
      )
    }
    await app.register(fastifyWebsocket, {
      options: {
        WebSocket: HubSocket,
        maxPayload: config.maxMessageBytes,
        maxFragments: MAX_FRAGMENTS,
        maxBufferedChunks: Math.max(MIN_CHUNKS, Math.ceil(config.maxMessageBytes / MIN_CHUNK_BYTES)),
        closeTimeout: CLOSE_TIMEOUT_MS,
        clientTracking: false,
        perMessageDeflate: false,
        handleProtocols: (offered: Set<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
      } as never,
      // The hub drains its clients itself.
      preClose: (done: () => void) => done(),
    })
    closeOthers(app)
    guardUpgrades(app)
    refuseUpgradesOfPlainRoutes(app)
  },
  { name: 'roomcast-websocket' },
)

/**
 * Has upgrades carried out a few at a time, and cuts what gets stuck between Node and the handshake: a hook that answers
 * before this plugin sees the request, a target that cannot be decoded, a server that is closing. Each would keep its
 * descriptor for ever.
 */
function guardUpgrades(app: FastifyInstance): void {
  const { server } = app
  // @fastify/websocket has just added it.
  const upgrade = server.listeners('upgrade').at(-1) as UpgradeListener
  /** When each upgrade began that is not done, oldest first. Refused ones stay until the sweep, destroyed already. */
  const pending = new Map<Duplex, number>()
  const queue = new UpgradeQueue((request, socket, head) => {
    if (isOther(request)) {
      serveAsPlain(app, request, socket)
      return
    }
    if (!isDecodable(request.url ?? '/')) request.url = UNROUTABLE
    pending.set(socket, performance.now())
    upgrade(request, socket, head)
  })
  server.off('upgrade', upgrade)
  server.on('upgrade', queue.add)
  const sweep = setInterval(() => {
    for (const [socket, startedAt] of pending) {
      if (performance.now() - startedAt < UPGRADE_TIMEOUT_MS) break
      pending.delete(socket)
      socket.destroy()
    }
  }, UPGRADE_SWEEP_MS)
  app.websocketServer.on('connection', (_socket: WebSocket, request: IncomingMessage) => {
    pending.delete(request.socket)
  })
  app.addHook('preClose', async () => {
    // From here on Fastify answers nothing that is closed properly.
    server.removeAllListeners('upgrade')
    server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => refuseAsClosing(socket))
    for (const socket of queue.clear()) refuseAsClosing(socket)
  })
  app.addHook('onClose', async () => {
    clearInterval(sweep)
    for (const socket of pending.keys()) socket.destroy()
  })
}

/**
 * RFC 9110 section 7.8: an upgrade to what we do not speak is ignored. Java's HttpClient and `curl --http2` offer h2c
 * with every request, and a health check may be made by either.
 */
function isOther({ method, headers }: IncomingMessage): boolean {
  const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
  return method === 'GET' && !hasBody && !/\bwebsocket\b/i.test(headers.upgrade ?? '')
}

function serveAsPlain(app: FastifyInstance, request: IncomingMessage, socket: Duplex): void {
  socket.on('error', () => socket.destroy())
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.on('finish', () => socket.end(() => socket.destroy()))
  response.assignSocket(socket as TcpSocket)
  app.routing(request, response)
}

function refuseAsClosing(socket: Duplex): void {
  socket.on('error', () => socket.destroy())
  socket.end(closingAnswer, () => socket.destroy())
}

const closingBody = JSON.stringify({ error: 'draining', message: 'shutting down' })
const closingAnswer = [
  'HTTP/1.1 503 Service Unavailable',
  'Retry-After: 1',
  'Connection: close',
  'Content-Type: application/json; charset=utf-8',
  `Content-Length: ${closingBody.length}`,
  '',
  closingBody,
].join('\r\n')

function isDecodable(url: string): boolean {
  if (!url.includes('%')) return true
  try {
    decodeURIComponent(url.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}

/** Sockets of the host's own WebSocket routes are no clients of the hub: Fastify's close would wait for them for ever. */
function closeOthers(app: FastifyInstance): void {
  const others = new Set<HubSocket>()
  app.websocketServer.on('connection', (socket: HubSocket) => {
    // By then its route has it.
    queueMicrotask(() => {
      if (socket.client !== undefined || socket.readyState === WebSocket.CLOSED) return
      others.add(socket)
      socket.once('close', () => others.delete(socket))
    })
  })
  app.addHook('preClose', async () => {
    for (const socket of others) socket.close(1001, 'shutting down')
  })
}

/** @fastify/websocket would answer 101 and then close. */
function refuseUpgradesOfPlainRoutes(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    if (route.websocket === true || route.wsHandler !== undefined) return
    const refuse = async (request: FastifyRequest, _reply: FastifyReply) => {
      if (request.ws) throw new Refusal('bad_upgrade', 'no WebSocket here', { status: 404 })
    }
    route.onRequest = route.onRequest === undefined ? [refuse] : [refuse, ...[route.onRequest].flat()]
  })
}
