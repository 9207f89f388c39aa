import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { apiAuthPlugin } from '../plugins/api-auth.ts'
import { authPlugin } from '../plugins/auth.ts'
import { bridgePlugin } from '../plugins/bridge.ts'
import { descriptorsPlugin } from '../plugins/descriptors.ts'
import { hooksPlugin } from '../plugins/hooks.ts'
import { hubPlugin } from '../plugins/hub.ts'
import { metricsPlugin } from '../plugins/metrics.ts'
import { pipelinesPlugin } from '../plugins/pipelines.ts'
import { presencePlugin } from '../plugins/presence.ts'
import { rateLimitPlugin } from '../plugins/rate-limit.ts'
import { redisPlugin } from '../plugins/redis.ts'
import { roomsPlugin } from '../plugins/rooms.ts'
import { tokensPlugin } from '../plugins/tokens.ts'
import { tracingPlugin, upgradeTracingPlugin } from '../plugins/tracing.ts'
import { checkUpgradesAreFree } from '../plugins/upgrade-guard.ts'
import { webhooksPlugin } from '../plugins/webhooks.ts'
import { websocketPlugin } from '../plugins/websocket.ts'
import { apiRoutes } from '../routes/api.ts'
import { clientRoutes } from '../routes/client.ts'
import { consoleRoutes } from '../routes/console.ts'
import { healthRoutes } from '../routes/health.ts'
import { metricsRoute } from '../routes/metrics.ts'
import { sseRoute } from '../routes/sse.ts'
import { wsRoute } from '../routes/ws.ts'
import { verificationKeys } from './auth/keys.ts'
import { Refusal } from './auth/refusal.ts'
import { ConfigError, type ConfigInput, configFrom } from './config.ts'
import type { Calls } from './hooks/calls.ts'
import type { HookFunctions } from './hooks/local-hooks.ts'

/** Settings of the process and its HTTP server, which an embedding app has its own of. */
type ProcessSetting =
  | 'port'
  | 'host'
  | 'workers'
  | 'logLevel'
  | 'nodeEnv'
  | 'trustProxy'
  | 'handshakeTimeoutMs'
  | 'maxWaitingConnections'

/** The settings of docs/SETTINGS.md in camel case, but for those of the process, and where the routes hang. */
export type RoomcastOptions = Omit<ConfigInput, ProcessSetting | 'hooks'> & {
  /** Put before `/ws` and `/health`, e.g. `/realtime`. */
  prefix?: string
  /** Asked before clients connect, join and publish: functions, or what `hookUrl` is asked, as HOOKS (docs/HOOKS.md). */
  hooks?: HookFunctions | string
  /** What clients may call, by method. */
  calls?: Calls
}

/**
 * roomcast as one Fastify plugin. Decorates the app with `hub`, `rooms` and `bridge`, and serves `/ws` and `/health`.
 * Rejects with ConfigError when an option cannot be honoured.
 */
export const roomcast = fp(
  async (app: FastifyInstance, { prefix = '', hooks = {}, calls = {}, ...options }: RoomcastOptions) => {
    const config = configFrom({ ...settingsIn(options), ...(typeof hooks === 'string' && { hooks }) })
    // Whatever is refused is refused before anything runs.
    const keys = verificationKeys(config)
    checkUpgradesAreFree(app)
    if (/[:*]/.test(app.prefix + prefix))
      throw new ConfigError('prefix: no parameters, clients have one path')
    await app.register(tracingPlugin)
    await app.register(descriptorsPlugin)
    await app.register(tokensPlugin, { config, keys })
    await app.register(bridgePlugin, { config })
    await app.register(hooksPlugin, { config, functions: typeof hooks === 'string' ? {} : hooks, calls })
    await app.register(presencePlugin)
    await app.register(webhooksPlugin, { config })
    // Before the hub: when the app closes, upgrades are refused from the first moment of the drain on.
    await app.register(websocketPlugin, { config })
    await app.register(hubPlugin, { config })
    await app.register(roomsPlugin)
    if (config.metrics) await app.register(metricsPlugin)
    // A scope of its own: the host's error handler, limits and tokens stay the host's.
    await app.register(
      async (scope) => {
        scope.setErrorHandler(answerRefusal)
        await scope.register(upgradeTracingPlugin, { routes: ['/ws', '/sse'] })
        await scope.register(pipelinesPlugin)
        await scope.register(authPlugin)
        await scope.register(redisPlugin, { config })
        await scope.register(rateLimitPlugin, { config })
        await scope.register(healthRoutes, { config })
        await scope.register(wsRoute, { config })
        await scope.register(sseRoute, { config })
        if (config.metrics) await scope.register(metricsRoute)
        if (config.clientJs === true) await scope.register(clientRoutes)
        if (config.console === true) await scope.register(consoleRoutes)
        if (config.apiKeys.length > 0) {
          await scope.register(apiAuthPlugin, { config })
          await scope.register(apiRoutes, { config })
        }
      },
      { prefix },
    )
  },
  { name: 'roomcast', fastify: '5.x' },
)

export default roomcast

/** What the app must set on its own server, and what Fastify itself takes from a plugin's options. */
const ofTheApp = [
  'port',
  'host',
  'workers',
  'nodeEnv',
  'trustProxy',
  'handshakeTimeoutMs',
  'maxWaitingConnections',
]
const ofFastify = ['logLevel', 'logSerializers']

/** The plugin's settings among what `register` was given. A setting that would have no effect is a ConfigError. */
function settingsIn(options: object): ConfigInput {
  const given = Object.entries(options).filter(([key]) => !ofFastify.includes(key))
  const [name] = given.find(([key]) => ofTheApp.includes(key)) ?? []
  if (name !== undefined) throw new ConfigError(`${name}: this is for the app that registers roomcast to set`)
  return Object.fromEntries(given)
}

/** Answers a refusal; any other error is one of a host's hooks, or ours, and goes to the host's error handler. */
function answerRefusal(error: FastifyError | Refusal, request: FastifyRequest, reply: FastifyReply) {
  if (error instanceof Refusal) request.server.hub.counters.refused[error.error]++
  else {
    // That handler may log with request.log, and that of /ws says nothing.
    if ((error.statusCode ?? 500) >= 500) request.server.log.error({ err: error }, 'request failed')
    throw error
  }
  const { upgrade, ...others } = error.headers
  // HTTP/2 has no headers about the connection (RFC 9113 section 8.2.2): Node throws, and nobody would catch it. With
  // HTTP/1.1 nothing more is to come on this connection, so it is not kept.
  const ofConnection = { ...(upgrade !== undefined && { upgrade }), connection: 'close' }
  return reply
    .code(error.statusCode)
    .headers(request.raw.httpVersionMajor >= 2 ? others : { ...others, ...ofConnection })
    .send({ error: error.error, message: error.message })
}

// The plugins' declarations, for hosts in TypeScript: app.hub, app.rooms, and their own routes' `websocket: true`.
export type {} from '@fastify/websocket'
export type {} from '../plugins/bridge.ts'
export type {} from '../plugins/hub.ts'
export type {} from '../plugins/rooms.ts'
export type { Delivery } from './bridge/bridge.ts'
export { type Config, ConfigError, type ConfigInput, configFrom, configFromEnv } from './config.ts'
export type {
  CallContext,
  ConnectAsked,
  JoinAsked,
  PublishAsked,
} from './hooks/asked.ts'
export { type CallHandler, type Calls, type DefinedCall, defineCall } from './hooks/calls.ts'
export type { HookFunctions, Refuse } from './hooks/local-hooks.ts'
export type { Client } from './hub/client.ts'
export type { ClientStats } from './hub/client-stats.ts'
export type { Controlled, Whom } from './hub/control.ts'
export type { Hub } from './hub/hub.ts'
export type { HubMessage } from './hub/hub-options.ts'
export type { Revoke } from './hub/revoker.ts'
export type { FromClient, ToClient } from './protocol/wire.ts'
export * from './rules/rules-input.ts'
export type { StandardSchema } from './rules/standard-schema.ts'
