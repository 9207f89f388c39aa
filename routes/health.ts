import type { FastifyInstance } from 'fastify'
import type { Config } from '../src/config.ts'
import { version } from '../src/version.ts'
import { undocumented } from './undocumented.ts'

/**
 * `/health` for people and load balancers: counts and the state of the bridge, 503 while draining. Without Redis the
 * node still serves its own clients, so `degraded` is 200: restarting it would not help.
 * `/health/live` says that the process runs, `/health/ready` whether it should get new clients; with READY_NEEDS_BRIDGE
 * not before the bridge was up once.
 */
export async function healthRoutes(app: FastifyInstance, { config }: { config: Config }): Promise<void> {
  const { hub, roomcastDescriptors: descriptors } = app
  // A host's limit for its own routes must not turn a health check red.
  const options = { config: { rateLimit: false as const }, schema: undocumented }

  app.get('/health', options, async (_request, reply) => {
    reply.code(hub.isDraining ? 503 : 200).header('cache-control', 'no-store')
    return {
      status: hub.isDraining ? 'draining' : hub.bridgeStatus.state === 'up' ? 'healthy' : 'degraded',
      clients: hub.size,
      rooms: hub.rooms.size,
      node: hub.node,
      uptimeMs: hub.uptimeMs,
      version,
      bridge: hub.bridgeStatus,
      cluster: hub.cluster,
      // Absent as long as there were always enough.
      ...(descriptors.refused > 0 && {
        descriptors: { limit: descriptors.limit, refused: descriptors.refused },
      }),
    }
  })

  app.get('/health/live', options, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { status: 'live' }
  })

  let isStarted = !config.readyNeedsBridge
  const isReady = () => {
    isStarted ||= hub.bridgeStatus.state === 'up'
    return isStarted && !hub.isDraining
  }
  // What is up at the start counts, whoever asks and when.
  app.addHook('onReady', async () => {
    isReady()
  })

  app.get('/health/ready', options, async (_request, reply) => {
    reply.code(isReady() ? 200 : 503).header('cache-control', 'no-store')
    return { status: hub.isDraining ? 'draining' : isStarted ? 'ready' : 'starting' }
  })
}
