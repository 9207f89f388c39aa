import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Identity } from '../src/auth/permissions.ts'
import { Refusal } from '../src/auth/refusal.ts'
import { tokenOf } from '../src/auth/token.ts'
import { TokenFault, type Verified } from '../src/auth/tokens.ts'
import { loggedAddress } from '../src/logged-text.ts'
import { whileOpen } from '../src/while-open.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Sets `request.roomcastIdentity` and calls `done`, or calls it with the Refusal; at once where the key is known. */
    authenticate(request: FastifyRequest, done: (refusal?: Refusal) => void): void
    /** The identity that verified claims make; which rule they break, if they do. */
    identityOf(claims: unknown): Identity | string
  }
  interface FastifyRequest {
    roomcastIdentity: Identity | undefined
  }
}

const noToken = new TokenFault('none, or more than one')
const revokedToken = new TokenFault('it is revoked')

/** Decorates with `authenticate`. */
export const authPlugin = fp(
  async (app: FastifyInstance) => {
    const { roomcastTokens: tokens } = app
    const settle = (request: FastifyRequest, given: Verified, done: (refusal?: Refusal) => void) => {
      // Also one that is remembered as good.
      const verified = given instanceof TokenFault || !app.hub.isRevoked(given) ? given : revokedToken
      if (!(verified instanceof TokenFault)) {
        request.roomcastIdentity = verified
        done()
        return
      }
      app.log.debug({ ip: loggedAddress(request.ip), reason: verified.reason }, 'token refused')
      done(refusalOf(verified))
    }
    app.decorate('identityOf', (claims: unknown) => tokens.identityOf(claims))
    app.decorateRequest('roomcastIdentity', undefined)
    app.decorate('authenticate', (request: FastifyRequest, done: (refusal?: Refusal) => void) => {
      const token = tokenIn(request)
      const verified = token === undefined ? noToken : tokens.verify(token)
      if (!(verified instanceof Promise)) {
        settle(request, verified, done)
        return
      }
      const settleLate = whileOpen(request.raw.socket, (late: Verified) => settle(request, late, done))
      verified.then(settleLate).catch((error) => app.log.error({ err: error }, 'an upgrade failed'))
    })
  },
  { name: 'roomcast-auth', dependencies: ['roomcast-tokens'] },
)

/** The request's one token. */
export function tokenIn({ query, headers, raw }: FastifyRequest): string | undefined {
  return tokenOf({
    query,
    authorization: headers.authorization === undefined ? undefined : raw.headersDistinct.authorization,
    protocols: headers['sec-websocket-protocol'],
  })
}

function refusalOf({ isTemporary }: TokenFault): Refusal {
  if (!isTemporary) return new Refusal('unauthorized', 'a valid token is needed')
  return new Refusal('unavailable', "the token's key cannot be had at present", {
    headers: { 'retry-after': '2' },
  })
}
