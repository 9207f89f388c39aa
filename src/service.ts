import { createHmac } from 'node:crypto'
import type { Socket } from 'node:net'
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
} from 'fastify'
import { guardConnections } from '../plugins/connection-guard.ts'
import { roomcast } from './app.ts'
import { hasKeySets } from './auth/keys.ts'
import { type Config, ConfigError } from './config.ts'
import { guardDescriptors } from './descriptor-guard.ts'
import { type DevSecret, devSecret } from './dev-token.ts'
import type { LogStream } from './log-stream.ts'
import { loggedAddress } from './logged-text.ts'
import { RefusalLog } from './refusal-log.ts'
import { originForm } from './request-head.ts'
import { answerUnreadable } from './unreadable-request.ts'

/** How often Node looks for requests that take too long; HANDSHAKE_TIMEOUT_MS is late by this much at most. */
const REQUEST_CHECK_MS = 1000
/** What is longer than this, slash included, is no word. */
const LOGGED_PATH_CHARS = 17

/** Makes the standalone server: a Fastify instance with roomcast and nothing else. Not yet listening. */
export async function createService(config: Config, logStream: LogStream): Promise<FastifyInstance> {
  const app = Fastify({
    logger: { level: config.logLevel, stream: logStream },
    // A logger a request is a tenth of the cost of a connect, and nothing here logs by request.
    childLoggerFactory: (logger) => logger,
    ...withoutRequestLog(),
    ...(config.trustProxy.length > 0 && { trustProxy: config.trustProxy }),
    forceCloseConnections: true,
    // A name in a path: of a user, 256 characters of three bytes each, percent-encoded.
    routerOptions: { maxParamLength: 2304 },
    // Fastify's own default overrules what http says.
    requestTimeout: config.handshakeTimeoutMs,
    http: {
      headersTimeout: config.handshakeTimeoutMs,
      connectionsCheckingInterval: REQUEST_CHECK_MS,
      // Node's own answer would have no body and leave no line in the log.
      requireHostHeader: false,
    },
    // Fastify's own would log the request's bytes at trace, and a token may be among them.
    clientErrorHandler: (error, socket) => refuseUnreadable(error.code, socket, refusals),
    // The default answer repeats the target, and the target may hold a token.
    frameworkErrors: (_error, request: FastifyRequest, reply: FastifyReply) => {
      // No hook sees it.
      const { method, url, ip } = request
      refusals.add({ status: 400 }, { method, path: loggedPath(url), ip })
      answerBadRequest(reply, 'the target cannot be decoded')
    },
  })
  guardConnections(app, config)
  const refusals = new RefusalLog(app.log)
  refuseConnects(app, refusals)
  logAnswers(app, config, refusals)
  // Node would refuse it with a bare 417; a server may as well pass over what it does not know.
  app.server.on('checkExpectation', app.routing)
  // No route takes a body, so none is waited for and kept.
  app.removeAllContentTypeParsers()
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((request, reply) => {
    const error = request.ws ? 'bad_upgrade' : 'not_found'
    // Closed, so that the rest of a body that nobody wants is not waited for.
    reply.code(404).header('connection', 'close').send({ error, message: 'nothing here' })
  })
  const {
    port: _port,
    host: _host,
    workers: _workers,
    logLevel: _level,
    nodeEnv,
    trustProxy: _proxies,
    handshakeTimeoutMs: _timeout,
    maxWaitingConnections: _waiting,
    roomRules: rules,
    hooks,
    ...options
  } = config
  await app.register(roomcast, {
    ...options,
    hooks: hooks.join(),
    rules,
    metrics: options.metrics ?? true,
    apiDocs: options.apiDocs ?? nodeEnv !== 'production',
    clientJs: options.clientJs ?? nodeEnv !== 'production',
    console: options.console ?? nodeEnv !== 'production',
  })
  wantHost(app)
  guardDescriptors(app)
  return app
}

function refuseUnreadable(reason: string, socket: Socket, refusals: RefusalLog): void {
  const status = answerUnreadable(reason, socket)
  if (status !== undefined) refusals.add({ status, reason }, { ip: socket.remoteAddress })
}

/** To Node a CONNECT is no request: it would hang up without a word. */
function refuseConnects(app: FastifyInstance, refusals: RefusalLog): void {
  app.server.on('connect', ({ socket }) => {
    // Node has taken its own listener away; without one, a reset meanwhile would end the process.
    socket.on('error', () => socket.destroy())
    refuseUnreadable('CONNECT', socket, refusals)
  })
}

function logAnswers(app: FastifyInstance, { logLevel }: Config, refusals: RefusalLog): void {
  const isEachLogged = logLevel === 'debug' || logLevel === 'trace'
  app.addHook('onResponse', (request, { statusCode: status }, done) => {
    if (status >= 400 || isEachLogged) {
      const { method, ip, is404, routeOptions } = request
      const path = is404 ? loggedPath(request.url) : routeOptions.url
      // Of all paths that are no route, one kind.
      if (status >= 400) refusals.add(is404 ? { status } : { status, path }, { method, path, ip })
      else app.log.debug({ method, path, status, ip: loggedAddress(ip) }, 'request served')
    }
    done()
  })
  app.addHook('onClose', async () => refusals.close())
}

/** RFC 9112 section 3.2; an upgrade is checked with the rest of its handshake. */
function wantHost(app: FastifyInstance): void {
  app.addHook('onRequest', ({ raw, headers, ws }, reply, done) => {
    if (headers.host !== undefined || raw.httpVersion === '1.0' || ws) done()
    else answerBadRequest(reply.header('connection', 'close'), 'a Host is needed')
  })
}

/** Fastify 5.0 has an option for it, which later versions warn of. */
function withoutRequestLog(): FastifyServerOptions {
  const Controller = Fastify.LogController as typeof Fastify.LogController | undefined
  if (Controller === undefined) return { disableRequestLogging: true }
  return { logController: new Controller({ disableRequestLogging: true }) }
}

/** With as few words as possible: what a peer has done wrong, or that we failed. */
function answerError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply) {
  const status = error.statusCode ?? 500
  if (status >= 500) return reply.code(500).send({ error: 'internal', message: 'the server failed' })
  return answerBadRequest(reply, 'the request cannot be served', status)
}

function answerBadRequest(reply: FastifyReply, message: string, status = 400): FastifyReply {
  return reply.code(status).send({ error: 'bad_request', message })
}

/** Of a path that no route has: its first part if that is a word, as a path's is and a token is not. */
export function loggedPath(url: string): string {
  const [, first = '', more = ''] = /^(\/[a-z0-9._~-]*)([^?%;#]?)/.exec(originForm(url)) ?? []
  if (first.length > LOGGED_PATH_CHARS || /[^/]/.test(more)) return '/…'
  return more === '' ? first : `${first}/…`
}

/**
 * A first start must work without settings: outside production a server without key material makes itself a secret, kept
 * where it is started, and a key of the API. Throws ConfigError in production.
 */
export function withKeyMaterial(config: Config): { config: Config; devSecret?: DevSecret } {
  if (config.jwtSecret.length + config.jwtPublicKey.length > 0 || hasKeySets(config)) return { config }
  if (config.nodeEnv === 'production') {
    throw new ConfigError(
      'JWT_SECRET, JWT_PUBLIC_KEY, JWKS_URL or JWT_ISSUERS: one of them must be set when NODE_ENV is production',
    )
  }
  const made = devSecret()
  // Made of the other, so that it lasts as long, and says nothing of it.
  const secret = createHmac('sha256', made.secret).update('API key').digest('base64url')
  const apiKeys = config.apiKeys.length > 0 ? config.apiKeys : [{ name: 'dev', secret }]
  return { config: { ...config, apiKeys, jwtSecret: [made.secret] }, devSecret: made }
}
