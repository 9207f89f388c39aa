import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { hasBody } from '../../src/request-head.ts'
import { whileOpen } from '../../src/while-open.ts'
import { Problem } from './problem.ts'

/** What bodies of users that are coming in may take of memory: one user's, and all together. */
const USER_BYTES = 8 * 1024 * 1024
const ALL_BYTES = 64 * 1024 * 1024
/** So little of a back end's is read at once: it takes no time worth a wait. */
const SMALL_BYTES = 16_384

/**
 * Bounds what comes in with users' tokens: whoever has one may send a large body on each of many connections, slowly. And
 * bodies are looked at a few a turn, in their order, like what clients send by their sockets. For routes whose caller is known.
 */
export function boundIntake(app: FastifyInstance): void {
  const { inbox } = app.hub.turn
  const bytes = new BytesUnderWay()

  app.addHook('onRequest', (request, reply, done) => {
    const { headers, apiAuthor } = request
    if (apiAuthor.kind === 'app' || apiAuthor.permissions.admin || !hasBody(headers)) done()
    else if (bytes.take(apiAuthor.user, bytesOf(request), reply)) done()
    else
      done(
        new Problem('unavailable', 'too much is coming in at present', {
          'retry-after': '1',
          connection: 'close',
        }),
      )
  })

  app.addHook('preHandler', ({ body, apiAuthor, raw }, _reply, done) => {
    const isSmall = !Buffer.isBuffer(body) || (apiAuthor.kind === 'app' && body.length <= SMALL_BYTES)
    if (isSmall || inbox.hasTime) done()
    else inbox.wait(whileOpen(raw.socket, () => done()))
  })
}

/** As many as the body says, or may have. */
function bytesOf({ headers, routeOptions }: FastifyRequest): number {
  const { bodyLimit = 0 } = routeOptions
  return Math.min(Number(headers['content-length'] ?? bodyLimit), bodyLimit)
}

/** Bytes of bodies that are coming in, or being answered. One body there is always room for. */
class BytesUnderWay {
  readonly #ofUsers = new Map<string, number>()
  #all = 0

  /** Takes them until the answer is out; false when that is too much, and nothing is taken. */
  take(user: string, bytes: number, { raw }: FastifyReply): boolean {
    const before = this.#ofUsers.get(user) ?? 0
    const isTooMuch = before > 0 && before + bytes > USER_BYTES
    if (isTooMuch || (this.#all > 0 && this.#all + bytes > ALL_BYTES)) return false
    this.#add(user, bytes)
    raw.once('close', () => this.#add(user, -bytes))
    return true
  }

  #add(user: string, bytes: number): void {
    this.#all += bytes
    const left = (this.#ofUsers.get(user) ?? 0) + bytes
    if (left === 0) this.#ofUsers.delete(user)
    else this.#ofUsers.set(user, left)
  }
}
