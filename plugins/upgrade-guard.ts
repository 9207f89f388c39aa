import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { FastifyInstance } from 'fastify'
import { ConfigError } from '../src/config.ts'
import { type UpgradeListener, UpgradeQueue } from './upgrade-queue.ts'

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
 * answers, a target that cannot be decoded, a server that is closing. Each would keep its descriptor for ever.
 */
export function guardUpgrades(app: FastifyInstance): void {
  const { server } = app
  guarded.add(server)
  // @fastify/websocket has just added it.
  const upgrade = server.listeners('upgrade').at(-1) as UpgradeListener
  /** The upgrades that are not done, oldest first. Those that were cut stay until the sweep. */
  const pending = new Map<IncomingMessage, { socket: Duplex; startedAt: number }>()

  const carryOut: UpgradeListener = (request, socket, head) => {
    const earlier = responseOn(socket)
    if (earlier !== undefined) {
      // Requests may be sent without waiting for answers; these keep their order.
      socket.on('error', destroy)
      earlier.once('close', () => {
        socket.off('error', destroy)
        if (!socket.destroyed) carryOut(request, socket, head)
      })
    } else if (!isWebSocket(request)) {
      pending.delete(request)
      serveAsPlain(server, request, socket, head)
    } else {
      if (!isDecodable(request.url ?? '/')) request.url = UNROUTABLE
      upgrade(request, socket, head)
      // Refused, perhaps by hooks that know nothing of upgrades: nobody else would end the connection.
      responseOn(socket)?.once('finish', () => {
        pending.delete(request)
        socket.end(destroy.bind(socket))
      })
    }
  }
  const queue = new UpgradeQueue(
    (request, socket, head) => {
      pending.set(request, { socket, startedAt: performance.now() })
      carryOut(request, socket, head)
    },
    (error) => app.log.error({ err: error }, 'an upgrade failed'),
  )
  server.off('upgrade', upgrade)
  if (server.listenerCount('upgrade') > 0)
    app.log.warn('upgrades of this server have another listener, but roomcast answers them all')
  server.on('upgrade', queue.add)

  const sweep = setInterval(() => {
    for (const [request, { socket, startedAt }] of pending) {
      if (performance.now() - startedAt < UPGRADE_TIMEOUT_MS) break
      pending.delete(request)
      socket.destroy()
    }
  }, UPGRADE_SWEEP_MS)
  // An app that does not listen may end; a socket keeps the process up by itself.
  sweep.unref()
  app.websocketServer.on('connection', (_socket: unknown, request: IncomingMessage) => {
    pending.delete(request)
  })
  app.addHook('preClose', async () => {
    // From here on Fastify answers nothing that is closed properly.
    server.removeAllListeners('upgrade')
    server.on('upgrade', (_request: IncomingMessage, socket: Duplex) => refuseAsClosing(socket))
    for (const socket of queue.clear()) refuseAsClosing(socket)
  })
  app.addHook('onClose', async () => {
    clearInterval(sweep)
    for (const { socket } of pending.values()) socket.destroy()
  })
}

/** The answer that is under way on a connection. Node has no other name for it. */
function responseOn(socket: Duplex): ServerResponse | undefined {
  return (socket as { _httpMessage?: ServerResponse | null })._httpMessage ?? undefined
}

function isWebSocket({ headers }: IncomingMessage): boolean {
  return /\bwebsocket\b/i.test(headers.upgrade ?? '')
}

/**
 * RFC 9110 section 7.8: an upgrade to what we do not speak is ignored. Java's HttpClient and `curl --http2` offer h2c
 * with every request, and without a listener for upgrades Node would ignore it. So the server is given the connection
 * anew, with the request as it would have been.
 */
function serveAsPlain(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2)
    const rest = /^connection$/i.test(name) ? withoutUpgrade(value) : value
    if (/^(upgrade|http2-settings)$/i.test(name) || (rest === '' && value !== '')) continue
    text += `${name}: ${rest}\r\n`
  }
  socket.unshift(Buffer.concat([Buffer.from(`${text}\r\n`, 'latin1'), head]))
  server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket)
}

function withoutUpgrade(connection: string): string {
  const options = connection.split(',').map((option) => option.trim())
  return options.filter((option) => !/^(upgrade|http2-settings)$/i.test(option)).join(', ')
}

function refuseAsClosing(socket: Duplex): void {
  socket.on('error', destroy)
  socket.end(closingAnswer, destroy.bind(socket))
}

function destroy(this: Duplex): void {
  this.destroy()
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
