import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Config } from '../src/config.ts'
import { drain } from '../src/hub/drain.ts'
import { Hub } from '../src/hub/hub.ts'
import type { HubOptions } from '../src/hub/hub-options.ts'
import { RoomRules } from '../src/rules/room-rules.ts'

declare module 'fastify' {
  interface FastifyInstance {
    hub: Hub
  }
}

/** Decorates with the hub, which ends with the app: clients are drained before the server closes. */
export const hubPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    const rules = new RoomRules(config.roomRules, config)
    const hub = await createHub(app.roomcastTracer, {
      bridge: app.bridge,
      presence: app.roomcastPresence,
      limits: config,
      rules,
      log: app.log,
      tokens: app.roomcastTokens,
      hooks: app.roomcastHooks,
      watch: app.roomcastWebhooks,
    })
    app.decorate('hub', hub)
    // Before the first client: what is revoked must not come in.
    app.addHook('onReady', async () => {
      await hub.control.whenInformed()
    })
    app.addHook('preClose', async () => {
      await drain(hub, { drainMs: config.drainMs, graceMs: config.shutdownGraceMs }, app.log)
    })
    app.addHook('onClose', async () => {
      await hub.close()
    })
  },
  {
    name: 'roomcast-hub',
    dependencies: [
      'roomcast-bridge',
      'roomcast-presence',
      'roomcast-hooks',
      'roomcast-tokens',
      'roomcast-webhooks',
      'roomcast-tracing',
    ],
  },
)

async function createHub(tracer: FastifyInstance['roomcastTracer'], options: HubOptions): Promise<Hub> {
  if (tracer === undefined) return new Hub(options)
  const { TracedHub } = await import('../src/tracing/traced-hub.ts')
  return new TracedHub(options, tracer)
}
