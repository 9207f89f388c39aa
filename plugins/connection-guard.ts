import type { IncomingMessage, ServerResponse } from 'node:http'
import { BlockList, isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance } from 'fastify'

/** How often connections without a request are counted. */
const SWEEP_MS = 100
/**
 * One is cut when it was there at so many sweeps. Between two of them the event loop reads what has come: an honest
 * client's request comes together with its connection, and a busy node must not take its own delay for the peer's.
 */
const SWEEPS_OF_GRACE = 2
/** What one address may have of all. */
const SHARE_OF_ADDRESS = 1 / 4
const IPV6_PREFIX_BITS = 64
/** At most one line in this time says how many were cut. */
const LOG_INTERVAL_MS = 10_000

/** What the words in TRUST_PROXY mean; @fastify/proxy-addr reads them so too. */
const namedRanges: Record<string, string[]> = {
  loopback: ['127.0.0.0/8', '::1'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

type TcpSocket = Duplex & { readonly remoteAddress?: string | undefined }

/** What watches over each connection. */
const guards = new WeakMap<Duplex, ConnectionGuard>()

/** Says that a connection's upgrade has come whole: from now on others watch over it. */
export function upgradeHasCome(socket: Duplex): void {
  guards.get(socket)?.forget(socket)
}

/** A connection, as it was when it was last looked at. */
interface Connection {
  /** The first answer that the peer may not have taken yet. */
  answer: ServerResponse | undefined
  seen: ServerResponse | undefined
  phase: 'silent' | 'served' | 'owed'
  /** The sweep since which it is so. */
  since: number
}

/** What of the settings is kept. */
export interface ConnectionLimits {
  maxWaitingConnections: number
  trustProxy: string[]
}

/**
 * Bounds the connections of the app's server that have no request under way: half-open handshakes, those that are kept
 * for another request, and those whose answer is not taken. Beyond the bound, for all or for one address, the one that
 * waits for longest is cut. Those of trusted proxies are left alone: a proxy sends whole requests, and many peers stand
 * behind its address.
 */
export function guardConnections(app: FastifyInstance, limits: ConnectionLimits): void {
  if (limits.maxWaitingConnections === 0) return
  const guard = new ConnectionGuard(app, limits)
  app.server.on('connection', (socket: TcpSocket) => guard.watch(socket))
  app.server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) =>
    guard.asks(socket, response),
  )
  const timer = setInterval(() => guard.sweep(), SWEEP_MS)
  timer.unref()
  app.addHook('onClose', async () => clearInterval(timer))
}

class ConnectionGuard {
  readonly #app: FastifyInstance
  readonly #max: number
  readonly #maxOfAddress: number
  readonly #proxies: BlockList
  /** Looked at once a sweep: a listener for each request would cost each of them. */
  readonly #connections = new Map<TcpSocket, Connection>()
  #sweeps = 0
  #cut = 0
  #loggedAtMs = -Infinity

  constructor(app: FastifyInstance, { maxWaitingConnections: max, trustProxy }: ConnectionLimits) {
    this.#app = app
    this.#max = max
    this.#maxOfAddress = Math.ceil(max * SHARE_OF_ADDRESS)
    this.#proxies = rangesOf(trustProxy)
  }

  watch(socket: TcpSocket): void {
    guards.set(socket, this)
    const since = this.#sweeps
    this.#connections.set(socket, { answer: undefined, seen: undefined, phase: 'silent', since })
  }

  forget(socket: TcpSocket): void {
    this.#connections.delete(socket)
  }

  /** A request has come; behind an answer that the peer does not take it changes nothing. */
  asks(socket: TcpSocket, response: ServerResponse): void {
    const connection = this.#connections.get(socket)
    if (connection !== undefined && connection.answer?.closed !== false) connection.answer = response
  }

  sweep(): void {
    this.#sweeps++
    let waiting = 0
    for (const [socket, connection] of this.#connections) {
      if (socket.destroyed) this.#connections.delete(socket)
      else if (this.#look(connection) !== 'served') waiting++
    }
    if (waiting > this.#maxOfAddress) this.#cutOldest()
    this.#log()
  }

  #look(connection: Connection): Connection['phase'] {
    const { answer } = connection
    const phase = phaseOf(answer)
    if (phase !== connection.phase || answer !== connection.seen)
      Object.assign(connection, { phase, seen: answer, since: this.#sweeps })
    return phase
  }

  /** Oldest first. */
  #waiting(): [TcpSocket, Connection][] {
    const waiting = [...this.#connections].filter(([, { phase }]) => phase !== 'served')
    return waiting.sort(([, one], [, other]) => one.since - other.since)
  }

  #cutOldest(): void {
    const waiting = this.#waiting()
    const { addresses, counts } = this.#count(waiting)
    // What an address has beyond its share is cut there, and pushes out nobody else's.
    let total = 0
    for (const count of counts.values()) total += Math.min(count, this.#maxOfAddress)
    for (const [socket, { since }] of waiting) {
      if (this.#sweeps - since <= SWEEPS_OF_GRACE) return
      const address = addresses.get(socket)
      if (address === undefined) continue
      const count = counts.get(address) ?? 0
      if (count <= this.#maxOfAddress) {
        if (total <= this.#max) continue
        total--
      }
      counts.set(address, count - 1)
      this.#cut++
      this.#connections.delete(socket)
      socket.destroy()
    }
  }

  /** How many there are, proxies' left out, and of which address. */
  #count(waiting: [TcpSocket, Connection][]) {
    const addresses = new Map<TcpSocket, string>()
    const counts = new Map<string, number>()
    for (const [socket] of waiting) {
      const { remoteAddress = '' } = socket
      const version = isIP(remoteAddress)
      if (version !== 0 && this.#proxies.check(remoteAddress, version === 4 ? 'ipv4' : 'ipv6')) continue
      const address = normalizeIP(remoteAddress, IPV6_PREFIX_BITS)
      addresses.set(socket, address)
      counts.set(address, (counts.get(address) ?? 0) + 1)
    }
    return { addresses, counts }
  }

  #log(): void {
    const now = performance.now()
    if (this.#cut === 0 || now - this.#loggedAtMs < LOG_INTERVAL_MS) return
    this.#app.log.warn({ count: this.#cut }, 'connections without a request were cut')
    this.#cut = 0
    this.#loggedAtMs = now
  }
}

/** When all of an answer is said, whether the peer takes it is the peer's affair. */
function phaseOf(answer: ServerResponse | undefined): Connection['phase'] {
  if (answer === undefined || answer.closed) return 'silent'
  return answer.writableEnded ? 'owed' : 'served'
}

function rangesOf(proxies: string[]): BlockList {
  const list = new BlockList()
  for (const range of proxies.flatMap((proxy) => namedRanges[proxy] ?? [proxy])) {
    const [address = '', bits] = range.split('/')
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}
