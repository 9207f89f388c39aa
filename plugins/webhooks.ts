import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { systemClock } from '../src/clock.ts'
import type { Config } from '../src/config.ts'
import { Distribution } from '../src/distribution.ts'
import { TIMES_MS } from '../src/hooks/hook-bounds.ts'
import type { Webhooks } from '../src/webhooks/webhooks.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined when no WEBHOOK_URL is set. */
    roomcastWebhooks: Webhooks | undefined
  }
}

/** Bytes of an answer, of which the status alone counts. */
const ANSWER_BYTES = 65_536
/** A batch that was refused for so long is dropped. */
const GIVE_UP_MS = 60 * 60_000
/** At the end, time to send what is left; within what the drain has left of SHUTDOWN_GRACE_MS. */
const CLOSE_MS = 3000
/** So much there is in any case: for what a receiver that is there has to be told of the drain's last clients. */
const LEAST_CLOSE_MS = 300

/** Decorates with the senders of webhooks, which end after the hub: the last to go are told of too. */
export const webhooksPlugin = fp(
  async (app: FastifyInstance, { config }: { config: Config }) => {
    const webhooks = config.webhookUrl.length === 0 ? undefined : await senders(app, config)
    app.decorate('roomcastWebhooks', webhooks)
    if (webhooks === undefined) return
    app.addHook('onClose', () => {
      const nowMs = systemClock.steadyMs()
      const leftMs = config.shutdownGraceMs - (nowMs - (app.hub.drainsSinceMs ?? nowMs))
      return webhooks.close(Math.max(LEAST_CLOSE_MS, Math.min(CLOSE_MS, leftMs)))
    })
  },
  { name: 'roomcast-webhooks' },
)

async function senders({ log }: FastifyInstance, config: Config): Promise<Webhooks> {
  // Loaded where it is wanted: an HTTP client takes time and memory.
  const { BackEnd } = await import('../src/hooks/back-end.ts')
  const { Webhook } = await import('../src/webhooks/webhook.ts')
  const { Webhooks } = await import('../src/webhooks/webhooks.ts')
  const { webhookEvents: events, webhookFormat: format, webhookSecret: secrets } = config
  const { webhookTimeoutMs: timeoutMs, webhookQueueMaxBytes } = config
  const times = new Distribution(TIMES_MS)
  const webhooks = config.webhookUrl.map((url) => {
    const limits = { connections: 1, maxBytes: ANSWER_BYTES, clock: systemClock }
    const backEnd = new BackEnd({ url, secrets, ...limits })
    const { host } = new URL(url)
    const bounds = { timeoutMs, maxBytes: webhookQueueMaxBytes, giveUpMs: GIVE_UP_MS }
    return new Webhook({ backEnd, host, format, ...bounds, times, clock: systemClock, log })
  })
  return new Webhooks({ webhooks, times, events, format, clock: systemClock })
}
