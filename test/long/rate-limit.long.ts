// B46 with the product's defaults and the numbers of the case; a client that is patient in going over its rate.
import t from 'tap'
import { type Client, connect } from '../support/client.ts'
import { cpuWait } from '../support/cpu-wait.ts'
import { connectCrowd, inBatches, quantile } from '../support/crowd.ts'
import { HealthPoller } from '../support/health-poller.ts'
import { redisFor } from '../support/node-pair.ts'
import { reconnectStorm } from '../support/reconnect-storm.ts'
import { startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { pace } from '../support/until.ts'

t.test('B46 1,000 clients after a restart, with the default limits', (t) =>
  reconnectStorm(t, {
    sharedAddress: 300,
    ownAddress: 700,
    env: {},
    retryMs: 500,
    backWithinMs: 60_000,
    healthWithinMs: 250,
  }),
)

t.test('B46 5,000 clients after a restart, with the default limits', (t) =>
  reconnectStorm(t, {
    sharedAddress: 3_500,
    ownAddress: 1_500,
    env: {},
    retryMs: 500,
    backWithinMs: 60_000,
    healthWithinMs: 250,
  }),
)

t.test('B46 5,000 clients after a restart, with Redis 50 ms away', async (t) => {
  const redis = await redisFor(t)
  const relay = await TcpRelay.open(redis.port)
  relay.latencyMs = 25
  t.teardown(() => relay.close())
  await reconnectStorm(t, {
    sharedAddress: 3_500,
    ownAddress: 1_500,
    env: { REDIS_URL: relay.url },
    retryMs: 500,
    backWithinMs: 60_000,
    healthWithinMs: 250,
  })
})

t.test('B46 20 messages a second to 5,000 clients while 200 a second connect', async (t) => {
  const server = await startServer({ CONNECT_RATE_MAX: '0' })
  t.teardown(() => server.stop())
  const members = await connectCrowd(server, 5_000, ['r'])
  let bytes = 0
  // Counted in bytes: with frames taken apart, this process would be what is measured.
  for (const { socket } of members) {
    socket.tcp.removeAllListeners('data')
    socket.tcp.on('data', (chunk) => {
      bytes += chunk.length
    })
  }
  const sender = await connect(server, 'sender')
  await sender.join('r')
  const waited = cpuWait(server)
  const poller = new HealthPoller(server, 50)
  t.teardown(() => poller.kill())
  const more: Client[] = []
  const startMs = performance.now()
  const ticks = 200
  for (let tick = 0; tick < ticks; tick++) {
    sender.say('r', 'x'.repeat(1_000))
    void inBatches(10, async () =>
      more.push(await connect(server, 'late', {}, { record: false, deadlineMs: 30_000 })),
    )
    await pace(Math.max(0, startMs + (tick + 1) * 50 - performance.now()))
  }
  const tookMs = performance.now() - startMs
  const healthMs = (await poller.stop()).map(({ ms }) => ms)
  await sender.fence(60_000)
  await clientsAre(server, members.length + 1 + ticks * 10, { deadlineMs: 30_000 })
  t.comment(
    `${Math.round(tookMs)} ms, ${Math.round(bytes / 1e6)} MB read, /health p50 ${Math.round(quantile(healthMs, 0.5))} ms, p99 ${Math.round(quantile(healthMs, 0.99))} ms, most ${Math.round(quantile(healthMs, 1))} ms; waited for CPU ${Math.round(waited())} ms`,
  )
  t.ok(quantile(healthMs, 0.99) < 250, '/health p99 below 250 ms')
  for (const { socket } of [...members, ...more, sender]) socket.destroy()
  await clientsAre(server, 0, { deadlineMs: 10_000 })
  t.equal(server.stderr, '')
})

t.test('a client a little over its rate is told each second and ended after ten', async (t) => {
  const server = await startServer({ MESSAGE_RATE: '10', MESSAGE_BURST: '100', PING_INTERVAL_MS: '60000' })
  t.teardown(() => server.stop())
  const a = await connect(server, 'a')
  const notices: number[] = []
  a.onEnvelope = ({ code }) => {
    if (code === 'rate_limited') notices.push(performance.now())
  }
  while (!a.socket.end) {
    a.send({ type: 'ping' })
    await pace(20)
  }
  const { code, reason } = await a.closed()
  t.equal(code, 4429)
  t.match(reason, /^retry after \d+ s$/)
  const overMs = performance.now() - (notices[0] ?? 0)
  t.ok(overMs > 9_000 && overMs < 14_000, `${Math.round(overMs)} ms after the first notice`)
  t.ok(notices.length >= 8 && notices.length <= 12, `${notices.length} notices`)
  a.socket.destroy()
})
