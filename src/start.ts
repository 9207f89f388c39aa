import cluster from 'node:cluster'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { verificationKeys } from './auth/keys.ts'
import { type Config, configFromEnv, variableName } from './config.ts'
import { type DevSecret, devToken } from './dev-token.ts'
import { drain } from './hub/drain.ts'
import { closeLogStream, type LogStream, openLogStream } from './log-stream.ts'
import { createService, withKeyMaterial } from './service.ts'
import { shareMetrics } from './worker-metrics.ts'
import { onceForgotten, startWorkers } from './workers.ts'

/** Beyond the grace; a close that hangs longer is given up. */
const LAST_RESORT_MS = 700

/** The running server. */
export interface Service {
  /** Drains, closes and ends the process with code 0, within SHUTDOWN_GRACE_MS and a second. */
  stop(signal: string): Promise<void>
}

/**
 * Starts the standalone server from the environment. Rejects when a setting cannot be honoured, or when the system
 * refuses. `stop` is called for what must end the process otherwise than by a signal.
 */
export async function start(stop: (cause: string) => void): Promise<Service> {
  const { config, devSecret } = withKeyMaterial(configFromEnv())
  verificationKeys(config, variableName)
  const logStream = openLogStream()
  if (config.workers > 1 && cluster.isPrimary) {
    const log = pino({ level: config.logLevel }, logStream)
    log.info({ workers: config.workers, host: config.host, port: config.port }, 'starting workers')
    if (devSecret !== undefined) greet(config, config.port, devSecret)
    const keys = { JWT_SECRET: config.jwtSecret.join(' '), API_KEYS: JSON.stringify(config.apiKeys) }
    return startWorkers(config, keys, log, () => exit(logStream))
  }
  const app = await createService(config, logStream)
  await listen(app, config)
  const { port } = app.server.address() as AddressInfo
  app.log.info({ host: config.host, port, node: app.hub.node }, 'listening')
  if (cluster.isWorker) {
    onceForgotten(stop, app.log)
    if (app.hasDecorator('roomcastMetrics')) shareMetrics(app.roomcastMetrics)
  } else app.roomcastDescriptors.compareWith(config.maxClients)
  if (devSecret !== undefined) greet(config, port, devSecret)
  return { stop: (signal) => end(app, config, signal, logStream) }
}

/** Fastify would log a line of its own, without fields; what the boot itself has to say is logged. */
async function listen(app: FastifyInstance, { port, host }: Config): Promise<void> {
  await app.ready()
  const { level } = app.log
  app.log.level = 'warn'
  try {
    await app.listen({ port, host })
  } finally {
    app.log.level = level
  }
}

async function end(
  app: FastifyInstance,
  config: Config,
  signal: string,
  logStream: LogStream,
): Promise<void> {
  const lastResort = setTimeout(() => {
    app.log.warn('the close hangs and is given up')
    void exit(logStream)
  }, config.shutdownGraceMs + LAST_RESORT_MS)
  lastResort.unref()
  app.log.info({ signal }, 'stopping')
  // Drained before Fastify closes, so that /health answers in its own words meanwhile.
  await drain(app.hub, { drainMs: config.drainMs, graceMs: config.shutdownGraceMs }, app.log)
  await app.close()
  app.log.info('stopped')
  await exit(logStream)
}

async function exit(logStream: LogStream): Promise<void> {
  await closeLogStream(logStream)
  process.exit(0)
}

/** Plain text and not a log line: it holds a token, for whoever looks at a first start. */
function greet(config: Config, port: number, { file }: DevSecret): void {
  const token = devToken(config, 'dev')
  const host = ['0.0.0.0', '::'].includes(config.host) ? '127.0.0.1' : config.host
  const address = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const url = `ws://${address}/ws?token=${token}`
  process.stdout.write(`
No JWT_SECRET is set, so this server made one that lasts ${file === undefined ? 'until it stops' : `as long as ${file}`}. Connect with

  ${url}

for example by pasting this into another terminal, and then the lines below it:

  npx -y wscat -c '${url}'
  {"type":"join","room":"general"}
  {"type":"message","room":"general","content":"Hello, world!","echo":true}

A back end publishes with

  curl http://${address}/api/v1/rooms/general/messages -H 'Authorization: Bearer ${config.apiKeys[0]?.secret}' \\
    -H 'Content-Type: application/json' -d '{"content":"Hello from a back end!"}'

`)
}
