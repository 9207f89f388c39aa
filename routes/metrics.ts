import type { FastifyInstance } from 'fastify'
import { undocumented } from './undocumented.ts'

/** `GET /metrics`: this node's figures for Prometheus. */
export async function metricsRoute(app: FastifyInstance): Promise<void> {
  const { roomcastMetrics: metrics } = app
  app.get(
    '/metrics',
    { config: { rateLimit: false as const }, schema: undocumented },
    async (_request, reply) => {
      const text = await metrics.scrape()
      return reply.header('cache-control', 'no-store').type(metrics.contentType).send(text)
    },
  )
}
