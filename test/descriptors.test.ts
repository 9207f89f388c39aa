// Out of descriptors, one process. Several are in workers.test.ts, too few to start in start.test.ts.
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { connect } from './support/client.ts'
import { flood } from './support/floods.ts'
import { RawSocket } from './support/raw-socket.ts'
import { type Server, startServer } from './support/server.ts'
import { clientsAre, stillServing } from './support/still-serving.ts'
import { pollUntil } from './support/until.ts'

const LIMIT = 200

async function serverOf(limit: number, env = {}): Promise<Server> {
  return startServer({ CONNECT_RATE_MAX: '0', ...env }, { prefix: ['prlimit', `--nofile=${limit}:${limit}`] })
}

function warnings({ logs }: Server) {
  return logs.filter(({ msg }) => msg === 'descriptors run out')
}

t.test('more clients than descriptors', async (t) => {
  const server = await serverOf(LIMIT)
  t.teardown(() => server.stop())
  const before = await connect(server, 'before')
  await before.join('r')
  t.notOk('descriptors' in (await server.health()), '/health has nothing to tell')

  const crowd = await flood(server, 500)
  const open = crowd.count(101)
  t.ok(open > LIMIT / 2, `clients are taken as long as there are descriptors (${open})`)
  t.ok(crowd.count(503) > 0, 'others are told')
  for (const { response } of crowd.sockets)
    if (response?.status === 503) {
      t.match(response.headers['retry-after'], /^\d+$/)
      t.match(response.body, '"full"')
      break
    }
  const { descriptors, clients } = await server.health()
  t.match(descriptors, { limit: LIMIT, refused: 500 - open }, 'each that was not taken is counted')
  t.equal(clients, open + 1)
  t.equal((await server.health('/health/live')).code, 200)
  before.say('r', 'on')
  await before.fence()
  t.match(warnings(server), [{ level: 40, limit: LIMIT, refused: 1 }], 'one line')

  // Whoever says nothing must not keep the reserve.
  const silent = await Promise.all(Array.from({ length: 40 }, () => RawSocket.open(server)))
  for (const socket of silent) await socket.ended(4_000)
  t.equal((await server.health('/health/live')).code, 200)
  for (const socket of silent) socket.destroy()

  await crowd.end()
  await clientsAre(server, 1, { deadlineMs: 5_000 })
  await stillServing(t, server, { bystander: before, open: 1 })
  await before.close()
})

t.test('descriptors that others use up, or a limit that is lowered, are told of too', async (t) => {
  const server = await startServer({ CONNECT_RATE_MAX: '0' })
  t.teardown(() => server.stop())
  const limit = (of: number) => execFileSync('prlimit', ['--pid', String(server.pid), `--nofile=${of}:20000`])
  limit(12)
  await server.log('the shortage', ({ msg }) => msg === 'descriptors run out')
  limit(20_000)
  await pollUntil('served again', () =>
    server.health().then(
      ({ code }) => code === 200,
      () => false,
    ),
  )
  await (await connect(server, 'late')).close()
})

t.test('the start compares the limit with MAX_CLIENTS', async (t) => {
  const said = async (env: Record<string, string>) => {
    const server = await serverOf(300, env)
    await server.stop()
    return server.logs.filter(({ msg }) => /MAX_CLIENTS/.test(String(msg)))
  }
  t.match(await said({ MAX_CLIENTS: '250' }), [{ level: 40, limit: 300, maxClients: 250, needed: Number }])
  t.same(await said({ MAX_CLIENTS: '100' }), [])
})
