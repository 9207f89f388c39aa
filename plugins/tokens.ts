import fastifyJwt from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Verify } from '../src/auth/key-set.ts'
import { hasShortSecret, type VerificationKey } from '../src/auth/keys.ts'
import { TokenVerifier, verifierOptions } from '../src/auth/token-verifier.ts'
import type { Config } from '../src/config.ts'

declare module 'fastify' {
  interface FastifyInstance {
    roomcastTokens: TokenVerifier
  }
}

export interface TokensOptions {
  config: Config
  /** Those of the settings. */
  keys: VerificationKey[]
}

/** Decorates with what says who a token is for. */
export const tokensPlugin = fp(
  async (app: FastifyInstance, { config, keys }: TokensOptions) => {
    if (hasShortSecret(config))
      app.log.warn('JWT_SECRET (jwtSecret): secrets of less than 32 bytes can be guessed')
    const tokens = new TokenVerifier(config, await verifiersOf(app, config, keys))
    tokens.readKeySets(app.log)
    app.addHook('onClose', async () => tokens.close())
    app.decorate('roomcastTokens', tokens)
  },
  { name: 'roomcast-tokens' },
)

/** One registration of @fastify/jwt a key, so that keys can be rotated; in a scope of their own: `app.jwt` is the host's. */
async function verifiersOf(app: FastifyInstance, config: Config, keys: VerificationKey[]): Promise<Verify[]> {
  const verifiers: Verify[] = []
  await app.register(async (scope) => {
    for (const [index, { key, algorithms }] of keys.entries()) {
      const namespace = `roomcast${index}`
      await scope.register(fastifyJwt, {
        namespace,
        decoratorName: 'roomcastClaims',
        secret: key.startsWith('-----BEGIN') ? { public: key } : key,
        verify: verifierOptions(config, algorithms, config.jwtIssuer),
      })
      const { verify } = (scope.jwt as unknown as Record<string, { verify: Verify }>)[namespace] as {
        verify: Verify
      }
      verifiers.push(verify)
    }
  })
  return verifiers
}
