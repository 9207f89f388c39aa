import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { addressIn } from '../src/address.ts'
import { Refusal } from '../src/auth/refusal.ts'
import type { Config } from '../src/config.ts'
import { connectionCounts } from './connection-counts.ts'

/** What one subscriber of an IPv6 network has at least. */
const IPV6_PREFIX_BITS = 64

declare module 'fastify' {
  interface FastifyInstance {
    /** The hook that counts an upgrade against its address and refuses it over the limit; undefined without a limit. */
    limitConnections: onRequestHookHandler | undefined
  }
}

/**
 * Limits the upgrades from one address. An address is what Fastify holds for it (`trustProxy`), IPv4 in whatever form
 * as one, IPv6 by its /64. All nodes on a Redis count together.
 *
 * The counting is @fastify/rate-limit's, the hook is not: its own takes two promises and its headers a request, which
 * made a tenth of what a connect cost.
 */
export const rateLimitPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    const { connectRateMax: max, connectRateWindowMs: windowMs } = config
    const counts = connectionCounts(app.shortRedis, config.redisPrefix)
    const limit: onRequestHookHandler = (request, _reply, done) => {
      counts.incr(
        addressOf(request),
        (_error, counted) => {
          if (counted.current <= max) {
            done()
            return
          }
          const headers = { 'retry-after': `${Math.ceil(counted.ttl / 1000)}` }
          done(new Refusal('rate_limited', 'too many connections from this address', { headers }))
        },
        windowMs,
        max,
      )
    }
    app.decorate<onRequestHookHandler | undefined>('limitConnections', max === 0 ? undefined : limit)
  },
  { name: 'roomcast-rate-limit', dependencies: ['roomcast-redis'] },
)

/** The address that a request counts for; of what has none, the proxy's own. */
export function addressOf({ ip, socket }: FastifyRequest): string {
  return normalizeIP(addressIn(ip) ?? socket.remoteAddress ?? '', IPV6_PREFIX_BITS)
}
