// WORKERS under floods that are larger than their descriptors, while workers freeze and die.
import t from 'tap'
import { connect } from '../support/client.ts'
import { flood } from '../support/floods.ts'
import { freePort } from '../support/free-port.ts'
import { startRedis } from '../support/redis.ts'
import { startServer } from '../support/server.ts'
import { pace, pollUntil } from '../support/until.ts'

const ROUNDS = 12
const FROZEN_MS = 1500

t.test('floods beyond the descriptors, workers frozen and killed meanwhile', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const env = {
    REDIS_URL: redis.url,
    WORKERS: '3',
    PORT: String(await freePort()),
    CONNECT_RATE_MAX: '0',
    SHUTDOWN_GRACE_MS: '2000',
  }
  const server = await startServer(env, { prefix: ['prlimit', '--nofile=256:256'] })
  t.teardown(() => server.stop())
  const listening = () => server.logs.filter(({ msg }) => msg === 'listening').map(({ pid }) => Number(pid))
  const died = () =>
    new Set(
      server.logs.filter(({ msg }) => /^a worker died/.test(String(msg))).map(({ worker }) => Number(worker)),
    )
  const living = () => listening().filter((pid) => !died().has(pid))
  await pollUntil('all listen', () => living().length === 3, 15_000)

  for (let round = 0; round < ROUNDS; round++) {
    const [victim = 0, ...others] = living()
    const frozen = round % 3 === 0 ? [victim, ...others] : round % 3 === 1 ? [victim] : []
    for (const pid of frozen) process.kill(pid, 'SIGSTOP')
    // Sockets that wait for a worker that is killed may get no answer at all.
    const crowd = flood(server, 900).catch(() => undefined)
    await pace(FROZEN_MS)
    for (const pid of frozen) process.kill(pid, 'SIGCONT')
    if (round % 3 === 2) process.kill(victim, 'SIGKILL')
    await (await crowd)?.end()
    await pollUntil('all listen again', () => living().length === 3, 15_000)
    await pollUntil(
      'all take clients again',
      async () => {
        const late = await flood(server, 30).catch(() => undefined)
        await late?.end()
        return late?.count(101) === 30
      },
      15_000,
    )
    const client = await connect(server, 'a')
    await client.join('r')
    await client.close()
  }
  t.ok(server.logs.some(({ msg }) => msg === 'descriptors run out'))
  t.equal(server.stderr, '')
  t.same(await server.stop(), { code: 0, signal: null })
})
