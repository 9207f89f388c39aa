import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  HTTPMethods,
  onRequestHookHandler,
} from 'fastify'
import { Refusal } from '../src/auth/refusal.ts'
import { TokenFault } from '../src/auth/tokens.ts'
import type { Config } from '../src/config.ts'
import { NobodyIsLeft } from '../src/hub/app-messages.ts'
import type { Author } from '../src/hub/posts.ts'
import { whileOpen } from '../src/while-open.ts'
import { clientRoutes } from './api/clients.ts'
import { clusterRoutes } from './api/cluster.ts'
import { boundIntake } from './api/intake.ts'
import { openApiRoutes } from './api/openapi.ts'
import { Problem } from './api/problem.ts'
import { publishRoutes } from './api/publish.ts'
import { roomRoutes } from './api/rooms.ts'
import { userRoutes } from './api/users.ts'
import { undocumented } from './undocumented.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls the API. */
    apiAuthor: Author
  }
}

/** A browser asks again after so many seconds whether it may ask. */
const PREFLIGHT_S = 600

/** The HTTP API, `/api/v1`: a scope of its own, with its own words for what goes wrong. */
export async function apiRoutes(app: FastifyInstance, { config }: { config: Config }): Promise<void> {
  await app.register(
    async (api) => {
      api.removeAllContentTypeParsers()
      // As bytes: a content goes on as it came.
      api.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
        done(null, body),
      )
      api.setErrorHandler(answerProblem)
      api.setNotFoundHandler(() => {
        throw nothingHere()
      })
      const methods = methodsByUrl(api)
      answerBrowsers(api, config)
      api.decorateRequest('apiAuthor')
      await api.register(openApiRoutes, config)
      await api.register(async (callers) => {
        callers.addHook('onRequest', authenticator(callers))
        callers.addHook('onRequest', refuseEncoded)
        boundIntake(callers)
        await callers.register(publishRoutes, { config })
        await callers.register(adminRoutes)
      })
      refuseOtherMethods(api, methods)
    },
    { prefix: '/api/v1' },
  )
}

/** Said ahead of the body, which nobody wants: it is neither kept nor waited for. */
const nothingHere = () => new Problem('not_found', 'nothing here', { connection: 'close' })

/** What reads and acts. */
async function adminRoutes(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', ({ apiAuthor }, _reply, done) => {
    done(apiAuthor.permissions.admin ? undefined : new Problem('forbidden', 'this needs can.admin'))
  })
  for (const routes of [roomRoutes, userRoutes, clientRoutes, clusterRoutes]) await app.register(routes)
}

/** Who cannot say who it is, is counted as an upgrade is: secrets are not to be guessed. */
function authenticator(api: FastifyInstance): onRequestHookHandler {
  const settle = (
    author: Author | TokenFault,
    request: FastifyRequest,
    reply: FastifyReply,
    done: (error?: Error) => void,
  ) => {
    if (!(author instanceof TokenFault)) {
      request.apiAuthor = author
      done()
    } else if (author.isTemporary) {
      done(new Problem('unavailable', "the token's key cannot be had at present", { 'retry-after': '2' }))
    } else {
      const refused = new Problem('unauthorized', 'the secret of an API key, or a valid token, is needed')
      const { limitConnections: limit } = api
      if (limit === undefined) done(refused)
      else limit.call(api, request, reply, (error) => done(error ?? refused))
    }
  }
  return (request, reply, done) => {
    const author = api.apiCaller(request)
    if (!(author instanceof Promise)) {
      settle(author, request, reply, done)
      return
    }
    const { socket } = request.raw
    const settleLate = whileOpen(socket, (late: Author | TokenFault) => settle(late, request, reply, done))
    author.then(settleLate).catch(whileOpen(socket, done))
  }
}

/** A compressed body would be taken for broken JSON (RFC 9110 section 15.5.16). */
function refuseEncoded(
  { headers }: FastifyRequest,
  _reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  const { 'content-encoding': encoding = 'identity' } = headers
  if (encoding === 'identity') done()
  else
    done(
      new Problem('unsupported_media_type', 'the body may not be compressed', {
        'accept-encoding': 'identity',
      }),
    )
}

/**
 * CORS (fetch.spec.whatwg.org): pages of the origins that may connect may call. A preflight has no secret. No answer is
 * to be kept by what it passes.
 */
function answerBrowsers(api: FastifyInstance, { allowedOrigins }: Config): void {
  const origins = new Set(allowedOrigins)
  api.addHook('onRequest', ({ headers, method, is404 }, reply, done) => {
    reply.header('cache-control', 'no-store')
    const { origin } = headers
    if (origin === undefined) {
      done(is404 ? nothingHere() : undefined)
      return
    }
    if (origins.size > 0 && !origins.has(origin)) {
      done(new Problem('origin_refused', 'this origin may not connect'))
      return
    }
    reply.headers({ 'access-control-allow-origin': origin, vary: 'Origin' })
    reply.header('access-control-expose-headers', 'retry-after')
    if (method !== 'OPTIONS' || headers['access-control-request-method'] === undefined) {
      done(is404 ? nothingHere() : undefined)
      return
    }
    reply
      .code(204)
      .headers({
        'access-control-allow-methods': 'GET, POST, DELETE',
        // What traces a page adds the last two by itself.
        'access-control-allow-headers': 'authorization, content-type, traceparent, tracestate',
        'access-control-max-age': String(PREFLIGHT_S),
      })
      .send()
  })
}

/** The methods of each of the routes that follow; a host's OpenAPI document has none of them. */
function methodsByUrl(api: FastifyInstance): Map<string, Set<string>> {
  const methods = new Map<string, Set<string>>()
  api.addHook('onRoute', (route) => {
    route.schema = undocumented
    const known = methods.get(route.routePath) ?? new Set()
    for (const method of [route.method].flat()) known.add(method)
    methods.set(route.routePath, known)
  })
  return methods
}

function refuseOtherMethods(api: FastifyInstance, methods: ReadonlyMap<string, ReadonlySet<string>>): void {
  for (const [url, known] of [...methods]) {
    const others = api.supportedMethods.filter((method) => !known.has(method)) as HTTPMethods[]
    const allow = [...known].join(', ')
    const refuse = () => {
      throw new Problem('method_not_allowed', `only ${allow} here`, { allow, connection: 'close' })
    }
    api.route({ ...{ method: others, url }, onRequest: refuse, handler: refuse })
  }
}

/** In RFC 9457's form. What is no problem of the caller's is logged, and the caller is told nothing of it. */
function answerProblem(
  error: FastifyError | Problem | Refusal,
  request: FastifyRequest,
  reply: FastifyReply,
) {
  const problem = problemOf(error)
  if (problem.code === 'internal') request.server.log.error({ err: error }, 'request failed')
  const { connection, ...headers } = problem.headers
  const isHttp1 = request.raw.httpVersionMajor < 2
  return reply
    .code(problem.statusCode)
    .headers({ ...headers, ...(isHttp1 && connection !== undefined && { connection }) })
    .send(JSON.stringify(problem.body))
}

function problemOf(error: FastifyError | Problem | Refusal): Problem {
  if (error instanceof Problem) return error
  if (error instanceof Refusal && error.error === 'rate_limited')
    return new Problem('rate_limited', error.message, error.headers)
  if (error instanceof NobodyIsLeft)
    return new Problem('unavailable', 'shutting down', { 'retry-after': '1' })
  const { statusCode = 500 } = error as FastifyError
  if (statusCode === 413) return new Problem('too_large', 'the body is too large')
  if (statusCode === 415) return new Problem('unsupported_media_type', 'JSON is needed: application/json')
  if (statusCode < 500) return new Problem('bad_request', 'the request cannot be served')
  return new Problem('internal', 'the server failed')
}
