import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { hasShortSecret, type VerificationKey } from '../src/auth/keys.ts'
import { defaultPermissions, type Identity } from '../src/auth/permissions.ts'
import { Refusal } from '../src/auth/refusal.ts'
import { type ClaimRules, identityFrom, tokenOf } from '../src/auth/token.ts'
import { TokenCache } from '../src/auth/token-cache.ts'
import type { Config } from '../src/config.ts'
import { loggedAddress } from '../src/logged-text.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Verifies a token; undefined for every fault alike. */
    verifyToken(token: string): Identity | undefined
    /** Sets `request.roomcastIdentity`, or throws the Refusal with 401. */
    authenticate(request: FastifyRequest): void
    /** The identity that verified claims make; which rule they break, if they do. */
    identityOf(claims: unknown): Identity | string
  }
  interface FastifyRequest {
    roomcastIdentity: Identity | undefined
  }
}

type Verify = (token: string) => unknown

/** Decorates with `verifyToken` and `authenticate`. Every key has a verifier of its own, so secrets can be rotated. */
export const authPlugin = fp(
  async (app: FastifyInstance, { config, keys }: { config: Config; keys: VerificationKey[] }) => {
    const rules: ClaimRules = {
      requireExp: config.jwtRequireExp,
      requireSub: config.jwtRequireSub,
      clockToleranceMs: config.jwtClockToleranceMs,
      defaultPermissions: defaultPermissions(config.defaultCan),
    }
    const verifiers: Verify[] = []
    for (const { key, algorithms } of keys) {
      const namespace = `roomcast${verifiers.length}`
      await app.register(fastifyJwt, {
        namespace,
        decoratorName: 'roomcastClaims',
        secret: key.startsWith('-----BEGIN') ? { public: key } : key,
        verify: {
          algorithms,
          clockTolerance: config.jwtClockToleranceMs,
          // fast-jwt takes a token without the claim unless the claim is required too.
          ...(config.jwtAudience.length > 0 && { allowedAud: config.jwtAudience }),
          ...(config.jwtIssuer.length > 0 && { allowedIss: config.jwtIssuer }),
          requiredClaims: [
            ...(config.jwtAudience.length > 0 ? ['aud'] : []),
            ...(config.jwtIssuer.length > 0 ? ['iss'] : []),
          ],
        },
      })
      const { verify } = (app.jwt as unknown as Record<string, { verify: Verify }>)[namespace] as {
        verify: Verify
      }
      verifiers.push(verify)
    }

    if (hasShortSecret(config)) app.log.warn('secrets of less than 32 bytes can be guessed')

    const cache = new TokenCache()
    /** Why the last token was refused: for the log, never for the peer. */
    let fault = ''
    const verified = (token: string): Identity | undefined => {
      const known = cache.get(token, Date.now())
      if (known !== undefined) return known
      if (!isCanonical(token)) {
        fault = 'its signature is not plain base64url'
        return undefined
      }
      for (const verify of verifiers) {
        try {
          const identity = identityFrom(verify(token), rules)
          if (typeof identity !== 'string') {
            cache.set(token, identity)
            return identity
          }
          fault = identity
          return undefined
        } catch (error) {
          // Not this key's token, or no token at all: the peer is told the same for every reason.
          fault = (error as { code?: string }).code ?? 'unknown'
        }
      }
      return undefined
    }
    // Also one that is remembered as good.
    const verifyToken = (token: string): Identity | undefined => {
      const identity = verified(token)
      if (identity === undefined || !app.hub.isRevoked(identity)) return identity
      fault = 'it is revoked'
      return undefined
    }
    app.decorate('verifyToken', verifyToken)
    app.decorate('identityOf', (claims: unknown) => identityFrom(claims, rules))
    app.decorateRequest('roomcastIdentity', undefined)
    app.decorate('authenticate', (request: FastifyRequest) => {
      const token = tokenIn(request)
      request.roomcastIdentity = token === undefined ? undefined : verifyToken(token)
      if (request.roomcastIdentity !== undefined) return
      const reason = token === undefined ? 'none, or more than one' : fault
      app.log.debug({ ip: loggedAddress(request.ip), reason }, 'token refused')
      throw new Refusal('unauthorized', 'a valid token is needed')
    })
  },
  { name: 'roomcast-auth' },
)

/** The request's one token. */
export function tokenIn({ query, headers, raw }: FastifyRequest): string | undefined {
  return tokenOf({
    query,
    authorization: headers.authorization === undefined ? undefined : raw.headersDistinct.authorization,
    protocols: headers['sec-websocket-protocol'],
  })
}

/** Base64 has spare bits at its end; RFC 4648 section 3.5 lets readers insist on zeros, so that a token has one form. */
function isCanonical(token: string): boolean {
  const signature = token.slice(token.lastIndexOf('.') + 1)
  return Buffer.from(signature, 'base64url').toString('base64url') === signature
}
