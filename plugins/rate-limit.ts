import { isIP } from 'node:net'
import fastifyRateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Refusal } from '../src/auth/refusal.ts'
import type { Config } from '../src/config.ts'
import { connectionCounts } from './connection-counts.ts'

/** What one subscriber of an IPv6 network has at least. */
const IPV6_PREFIX_BITS = 64

/**
 * Limits the upgrades from one address. Routes ask for it with `config: { rateLimit: {} }`. An address is what
 * Fastify holds for it (`trustProxy`), IPv4 in whatever form as one, IPv6 by its /64. All nodes on a Redis count together.
 */
export const rateLimitPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    if (config.connectRateMax === 0) return
    await app.register(fastifyRateLimit, {
      global: false,
      max: config.connectRateMax,
      timeWindow: config.connectRateWindowMs,
      keyGenerator: addressOf,
      store: connectionCounts(app.shortRedis, config.redisPrefix),
      // Retry-After alone: the counters are nobody's business but ours.
      addHeaders: { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false },
      addHeadersOnExceeding: {
        'x-ratelimit-limit': false,
        'x-ratelimit-remaining': false,
        'x-ratelimit-reset': false,
      },
      errorResponseBuilder: () => new Refusal('rate_limited', 'too many connections from this address'),
    })
  },
  { name: 'roomcast-rate-limit', dependencies: ['roomcast-redis'] },
)

/** Some proxies write the port too; what is no address at all counts as the proxy's own. */
function addressOf({ ip, socket }: FastifyRequest): string {
  if (isIP(ip) === 4) return ip
  const address = /^\[([^\]]+)\](?::\d+)?$/.exec(ip)?.[1] ?? /^([\d.]+):\d+$/.exec(ip)?.[1] ?? ip
  return normalizeIP(isIP(address) === 0 ? (socket.remoteAddress ?? '') : address, IPV6_PREFIX_BITS)
}
