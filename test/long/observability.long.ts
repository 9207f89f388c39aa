// B54 and B55 with the numbers of the cases.
import t from 'tap'
import { clientMix } from '../support/client-mix.ts'
import { cpuWait, timedHealth } from '../support/cpu-wait.ts'
import { connectCrowd, quantile } from '../support/crowd.ts'
import { startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { pace } from '../support/until.ts'

t.test('B54 the count follows 10,000 connections of every kind', (t) =>
  clientMix(t, { total: 10_010, atATime: 200 }),
)

t.test('B55 /health while 5,000 clients broadcast', async (t) => {
  const server = await startServer({ CONNECT_RATE_MAX: '0' })
  t.teardown(() => server.stop())
  const clients = await connectCrowd(server, 5_000)
  for (const { socket } of clients) {
    socket.tcp.removeAllListeners('data')
    socket.tcp.on('data', () => {})
  }
  const waited = cpuWait(server)
  const healthMs: number[] = []
  // Each says one thing a minute or so: 100 a second to 5,000 is half a million deliveries a second.
  for (let tick = 0; tick < 100; tick++) {
    for (let i = 0; i < 10; i++) clients[(tick * 10 + i) % clients.length]?.say(undefined, 'hello')
    const { health, ms } = await timedHealth(server)
    healthMs.push(ms)
    if (health.code !== 200 || health.clients !== clients.length) t.fail(JSON.stringify(health))
    await pace(100)
  }
  t.comment(
    `/health p50 ${Math.round(quantile(healthMs, 0.5))} ms, p99 ${Math.round(quantile(healthMs, 0.99))} ms; waited for CPU ${Math.round(waited())} ms`,
  )
  t.ok(quantile(healthMs, 0.99) < 250, '/health p99 below 250 ms')
  for (const { socket } of clients) socket.destroy()
  await clientsAre(server, 0, { deadlineMs: 10_000 })
})
