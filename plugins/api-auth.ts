import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { ApiKeys } from '../src/auth/api-keys.ts'
import { APP_USER } from '../src/auth/permissions.ts'
import { TokenFault, type Verified } from '../src/auth/tokens.ts'
import type { Config } from '../src/config.ts'
import type { Author } from '../src/hub/posts.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Who shows a secret or a token in `Authorization: Bearer`; a TokenFault for nobody that is known. A promise only
     * where a token's key must be fetched first.
     */
    apiCaller(request: FastifyRequest): Author | TokenFault | Promise<Author | TokenFault>
  }
}

const noToken = new TokenFault('none, or more than one')
const unknown = new TokenFault('no key, and no token that holds')

/** Node takes the first of several. */
function isSaidTwice(rawHeaders: string[]): boolean {
  let times = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === 13 && name.toLowerCase() === 'authorization') times++
  }
  return times > 1
}

/** Decorates with `apiCaller`. */
export const apiAuthPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    const keys = new ApiKeys(config.apiKeys)
    const userOf = (verified: Verified): Author | TokenFault => {
      if (verified instanceof TokenFault) return verified.isTemporary ? verified : unknown
      if (app.hub.isRevoked(verified)) return unknown
      const { user, permissions, info, isNameless = false } = verified
      // Strangers without a name are told apart by nothing.
      return { kind: 'user', user, permissions, info, keyOwner: isNameless ? undefined : user }
    }
    app.decorate('apiCaller', ({ raw }: FastifyRequest) => {
      const [, bearer] = /^bearer +(\S+)$/i.exec(raw.headers.authorization ?? '') ?? []
      if (bearer === undefined || isSaidTwice(raw.rawHeaders)) return noToken
      const holder = keys.holderOf(bearer)
      if (holder !== undefined) {
        const { permissions, keyOwner } = holder
        return { kind: 'app' as const, user: APP_USER, permissions, info: undefined, keyOwner }
      }
      const verified = app.roomcastTokens.verify(bearer)
      return verified instanceof Promise ? verified.then(userOf) : userOf(verified)
    })
  },
  { name: 'roomcast-api-auth', dependencies: ['roomcast-tokens', 'roomcast-hub'] },
)
