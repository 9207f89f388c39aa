import { randomBytes } from 'node:crypto'
import Fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { guardConnections } from '../plugins/connection-guard.ts'
import { roomcast } from './app.ts'
import { type Config, ConfigError } from './config.ts'
import type { LogStream } from './log-stream.ts'

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
    logController: new LogController({ disableRequestLogging: true }),
    ...(config.trustProxy.length > 0 && { trustProxy: config.trustProxy }),
    forceCloseConnections: true,
    // Fastify's own default overrules what http says.
    requestTimeout: config.handshakeTimeoutMs,
    http: { headersTimeout: config.handshakeTimeoutMs, connectionsCheckingInterval: REQUEST_CHECK_MS },
    // The default answer repeats the target, and the target may hold a token.
    frameworkErrors: (_error, _request, reply: FastifyReply) => {
      reply.code(400).send({ error: 'bad_request', message: 'the target cannot be decoded' })
    },
  })
  guardConnections(app, config)
  // No route takes a body, so none is waited for and kept.
  app.removeAllContentTypeParsers()
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((request, reply) => {
    const error = request.ws ? 'bad_upgrade' : 'not_found'
    // Closed, so that the rest of a body that nobody wants is not waited for.
    reply.code(404).header('connection', 'close').send({ error, message: 'nothing here' })
  })
  app.addHook('onResponse', async (request, reply) => {
    const { statusCode: status } = reply
    const path = request.is404 ? loggedPath(request.url) : request.routeOptions.url
    const fields = { method: request.method, path, status, ip: request.ip }
    if (status >= 400) app.log.info(fields, 'request refused')
    else app.log.debug(fields, 'request served')
  })
  const {
    port: _port,
    host: _host,
    workers: _workers,
    logLevel: _level,
    nodeEnv: _env,
    trustProxy: _proxies,
    handshakeTimeoutMs: _timeout,
    maxWaitingConnections: _waiting,
    ...options
  } = config
  await app.register(roomcast, options)
  return app
}

/** With as few words as possible: what a peer has done wrong, or that we failed. */
function answerError(error: FastifyError, _request: FastifyRequest, reply: FastifyReply) {
  const status = error.statusCode ?? 500
  if (status >= 500) return reply.code(500).send({ error: 'internal', message: 'the server failed' })
  return reply.code(status).send({ error: 'bad_request', message: 'the request cannot be served' })
}

/** Of a path that no route has: its first part if that is a word, as a path's is and a token is not. */
export function loggedPath(url: string): string {
  const [, first = '', more = ''] = /^(\/[a-z0-9._~-]*)([^?%;#]?)/.exec(url) ?? []
  if (first.length > LOGGED_PATH_CHARS || /[^/]/.test(more)) return '/…'
  return more === '' ? first : `${first}/…`
}

/**
 * A first start must work without settings: outside production a server without key material makes itself a secret,
 * good until it stops. Throws ConfigError in production.
 */
export function withKeyMaterial(config: Config): { config: Config; isTemporary: boolean } {
  if (config.jwtSecret.length + config.jwtPublicKey.length > 0) return { config, isTemporary: false }
  if (config.nodeEnv === 'production') {
    throw new ConfigError('JWT_SECRET or JWT_PUBLIC_KEY: one of them must be set when NODE_ENV is production')
  }
  return { config: { ...config, jwtSecret: [randomBytes(32).toString('base64url')] }, isTemporary: true }
}
