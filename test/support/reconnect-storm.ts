// Case B46: a restart, and everybody comes back at once, many of them from one address.
import type { Test } from 'tap'
import { type Client, connect } from './client.ts'
import { cpuWait } from './cpu-wait.ts'
import { ask, inBatches, quantile } from './crowd.ts'
import { freePort } from './free-port.ts'
import { HealthPoller } from './health-poller.ts'
import { type Env, type Server, startServer } from './server.ts'
import { clientsAre } from './still-serving.ts'
import { pace } from './until.ts'

export interface StormOptions {
  /** So many clients from 127.0.0.1, and so many from an address each. */
  sharedAddress: number
  ownAddress: number
  env: Env
  /** Pause between attempts; a refusal's Retry-After is not heeded, which is the worse case. The first attempt comes when the server's `closing` said. */
  retryMs: number
  backWithinMs: number
  healthWithinMs: number
}

export async function reconnectStorm(t: Test, options: StormOptions): Promise<void> {
  const env = { PORT: String(await freePort()), SHUTDOWN_GRACE_MS: '2000', ...options.env }
  const count = options.sharedAddress + options.ownAddress
  // At first without a limit: the case begins with everybody connected.
  const before = await startServer({ ...env, CONNECT_RATE_MAX: '0' })
  t.teardown(() => before.stop())
  const clients = await inBatches(count, (index) => member(before, index, options.sharedAddress))
  await clientsAre(before, count)
  const advice: number[] = Array(count).fill(0)
  for (const [index, client] of clients.entries()) {
    client.onEnvelope = ({ type, reconnectInMs }) => {
      if (type === 'closing') advice[index] = Number(reconnectInMs)
    }
  }
  t.equal((await before.stop()).code, 0)
  const endedMs = performance.now()
  for (const { socket } of clients) {
    await socket.ended()
    socket.destroy()
  }
  t.ok(
    advice.every((ms) => ms > 0),
    'everybody was told when to come back',
  )

  const server = await startServer(env, { waitForReady: false })
  t.teardown(() => server.stop())
  server.port = Number(env.PORT)
  const ready = server.ready()
  let readyMs = Infinity
  const waited = cpuWait(server)
  const watch = ready.then(() => {
    readyMs = performance.now()
    const poller = new HealthPoller(server, 50)
    t.teardown(() => poller.kill())
    return poller
  })
  let refusals = 0
  const back = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      await pace(Math.max(0, endedMs + (advice[index] ?? 0) - performance.now()))
      for (;;) {
        const client = await tryMember(server, index, options.sharedAddress)
        if (client !== undefined) return client
        refusals++
        if (performance.now() - readyMs > options.backWithinMs + waited())
          throw new Error(`client ${index} is not back`)
        await pace(options.retryMs)
      }
    }),
  )
  const tookMs = performance.now() - readyMs
  t.comment(`all are back after ${Math.round(tookMs)} ms and ${refusals} refusals`)
  t.ok(tookMs < options.backWithinMs + waited(), `all are back within ${options.backWithinMs} ms`)
  await clientsAre(server, count, { rooms: 1 })
  const healthMs = (await (await watch).stop()).map(({ ms }) => ms)
  const p99 = quantile(healthMs, 0.99)
  t.ok(
    p99 < options.healthWithinMs,
    `/health p99 within ${options.healthWithinMs} ms (${Math.round(p99)} ms of its own)`,
  )
  for (const { socket } of back) socket.destroy()
  await clientsAre(server, 0, { rooms: 0 })
  t.equal(server.stderr, '')
}

function sourceOf(index: number, sharedAddress: number) {
  return index < sharedAddress ? '127.0.0.1' : `127.1.${index >> 8}.${index & 255 || 256 - 1}`
}

async function member(server: Server, index: number, sharedAddress: number): Promise<Client> {
  const tcp = { localAddress: sourceOf(index, sharedAddress) }
  const client = await connect(server, `user-${index}`, {}, { record: false, tcp, deadlineMs: 10_000 })
  await ask(client, { type: 'join', room: 'r' }, 10_000)
  return client
}

/** Undefined when the server is not there yet, or refused it with 429. */
async function tryMember(server: Server, index: number, sharedAddress: number): Promise<Client | undefined> {
  try {
    return await member(server, index, sharedAddress)
  } catch (error) {
    if (/refused: 429|connection was refused/.test(String(error))) return undefined
    throw error
  }
}
