import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { hookReadings } from '../src/hooks/hook-readings.ts'
import { bridgeReadings } from '../src/metrics/bridge-readings.ts'
import { Metrics } from '../src/metrics/metrics.ts'
import { webhookReadings } from '../src/webhooks/webhook-readings.ts'

declare module 'fastify' {
  interface FastifyInstance {
    roomcastMetrics: Metrics
  }
}

/** Decorates with this node's metrics, of which `/metrics` is one reader. */
export const metricsPlugin = fp(
  async (app: FastifyInstance) => {
    app.decorate('roomcastMetrics', new Metrics(app.hub))
    const { roomcastWebhooks: webhooks, roomcastHookBounds: hooks } = app
    const { figures } = app.bridge
    if (figures !== undefined) app.roomcastMetrics.add(() => bridgeReadings(figures))
    if (hooks !== undefined) app.roomcastMetrics.add(() => hookReadings(hooks))
    if (webhooks !== undefined) app.roomcastMetrics.add(() => webhookReadings(webhooks))
  },
  {
    name: 'roomcast-metrics',
    dependencies: ['roomcast-bridge', 'roomcast-hub', 'roomcast-hooks', 'roomcast-webhooks'],
  },
)
