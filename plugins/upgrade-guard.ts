import { type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket as TcpSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { ConfigError } from '../src/config.ts'
import { hasBody, offersUpgradeTo } from '../src/request-head.ts'
import { upgradeHasCome } from './connection-guard.ts'
import { isTaken, OtherListeners } from './other-listeners.ts'
import { destroy, type UpgradeListener, UpgradeQueue } from './upgrade-queue.ts'

/** An upgrade that has got no answer by then is cut, at the next sweep. */
const UPGRADE_TIMEOUT_MS = 3500
const UPGRADE_SWEEP_MS = 500
/** Where upgrades go whose target cannot be decoded: Fastify would answer them but leave the socket open. */
const UNROUTABLE = '/undecodable-target'

/** Servers whose upgrades a roomcast answers. */
const guarded = new WeakSet<Server>()

/** Throws ConfigError when somebody answers the upgrades of the app's server already: each gets one answer. */
export function checkUpgradesAreFree(app: FastifyInstance): void {
  if (guarded.has(app.server)) throw new ConfigError('roomcast is registered on this server already')
  if (app.hasDecorator('websocketServer')) {
    throw new ConfigError(
      '@fastify/websocket is registered already; leave that to roomcast, your routes can use it',
    )
  }
}

/**
 * Has upgrades carried out a few at a time, and cuts what gets stuck between Node and the handshake: a hook that never
 * answers, a target that cannot be decoded, a server that is closing. Each would keep its descriptor for ever. Returns
 * who else listens, and may have taken an upgrade: two answers on one socket would be garbage.
 */
export function guardUpgrades(app: FastifyInstance, closeGraceMs: number): OtherListeners {
  const server = app.server as Server & Declining
  guarded.add(server)
  // @fastify/websocket has just added it.
  const upgrade = server.listeners('upgrade').at(-1) as UpgradeListener
  /** The upgrades that are not done, oldest first. Those that were cut stay until the sweep. */
  const pending = new Map<IncomingMessage, { socket: Duplex; startedAt: number }>()
  const onFailed = (error: Error) => app.log.error({ err: error }, 'an upgrade failed')
  const queue = new UpgradeQueue((request, socket, head) => {
    if (others.areThere && (isTaken(socket) || responseOn(socket) !== undefined)) return
    pending.set(request, { socket, startedAt: performance.now() })
    if (!isDecodable(request.url ?? '/')) request.url = UNROUTABLE
    upgrade(request, socket, head)
    // Refused, perhaps by hooks that know nothing of upgrades: nobody else would end the connection.
    responseOn(socket)?.once('finish', () => {
      pending.delete(request)
      socket.end(destroy.bind(socket))
    })
  }, onFailed)
  const plain = new PlainRequests(app, onFailed)
  server.off('upgrade', upgrade)
  // Node 22.21, 24.9 and later then serve the request themselves.
  if (server.shouldUpgradeCallback !== undefined) server.shouldUpgradeCallback = isWebSocket
  // Ahead of the others: a response on the socket is then one to an earlier request.
  server.prependListener('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    onceAnswered(socket, () => {
      upgradeHasCome(socket)
      if (isPlain(request)) plain.serve(request, socket)
      else queue.add(request, socket, head)
    })
  })
  const others = new OtherListeners(app)

  const sweep = setInterval(() => {
    for (const [request, { socket, startedAt }] of pending) {
      if (performance.now() - startedAt < UPGRADE_TIMEOUT_MS) break
      pending.delete(request)
      if (!others.areThere || !isTaken(socket)) socket.destroy()
    }
  }, UPGRADE_SWEEP_MS)
  // An app that does not listen may end; a socket keeps the process up by itself.
  sweep.unref()
  app.websocketServer.on('connection', (_socket: unknown, request: IncomingMessage) => {
    pending.delete(request)
  })
  let cut: NodeJS.Timeout | undefined
  app.addHook('preClose', async () => {
    others.stop()
    // From here on Fastify answers nothing that is closed properly.
    server.removeAllListeners('upgrade')
    server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => refuseAsClosing(socket))
    for (const socket of queue.clear()) refuseAsClosing(socket)
    cut = setTimeout(() => plain.cut(), closeGraceMs).unref()
  })
  app.addHook('onClose', async () => {
    clearInterval(sweep)
    clearTimeout(cut)
    for (const { socket } of pending.values()) socket.destroy()
  })
  return others
}

/** What later Node versions than our types' have: whether a request's offer to upgrade is taken up. */
interface Declining {
  shouldUpgradeCallback?: (request: IncomingMessage) => boolean
}

/** The answer that is under way on a connection. Node has no other name for it. */
function responseOn(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
}

/** Requests may be sent without waiting for answers; an upgrade behind one keeps its place. */
function onceAnswered(socket: Duplex, then: () => void): void {
  const earlier = responseOn(socket)
  if (earlier === undefined) {
    then()
    return
  }
  socket.on('error', destroy)
  earlier.once('close', () => {
    socket.off('error', destroy)
    if (!socket.destroyed) onceAnswered(socket, then)
  })
}

function isWebSocket({ headers }: IncomingMessage): boolean {
  return offersUpgradeTo('websocket', headers)
}

/**
 * RFC 9110 section 7.8: an upgrade to what we do not speak is ignored. Java's HttpClient and `curl --http2` offer h2c
 * with every request, and a health check may be made by either. A body is in nobody's hands here, so what has one is
 * refused like any upgrade.
 */
function isPlain(request: IncomingMessage): boolean {
  return !isWebSocket(request) && !hasBody(request.headers)
}

/** Serves requests that Node has given out as upgrades, and ends their connections: what follows may be no request. */
class PlainRequests {
  readonly #app: FastifyInstance
  readonly #onFailed: (error: Error) => void
  readonly #sockets = new Set<Duplex>()

  constructor(app: FastifyInstance, onFailed: (error: Error) => void) {
    this.#app = app
    this.#onFailed = onFailed
  }

  serve(request: IncomingMessage, socket: Duplex): void {
    socket.on('error', destroy)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.on('finish', () => socket.end(destroy.bind(socket)))
    try {
      response.assignSocket(socket as TcpSocket)
      this.#app.routing(request, response)
    } catch (error) {
      this.#onFailed(error as Error)
      socket.destroy()
    }
  }

  /** Ends those that are not answered: a server's close knows of none of them. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

function refuseAsClosing(socket: Duplex): void {
  socket.on('error', destroy)
  socket.end(closingAnswer, destroy.bind(socket))
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
