// WORKERS: what befalls the processes. That they are nodes of one hub is in redis/nodes.test.ts.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { type Client, connect } from './support/client.ts'
import { type Flood, flood } from './support/floods.ts'
import { freePort } from './support/free-port.ts'
import { startProgram } from './support/program.ts'
import { RawSocket } from './support/raw-socket.ts'
import { startRedis, type TestRedis } from './support/redis.ts'
import { type Server, type StartOptions, startServer } from './support/server.ts'
import { SECRET } from './support/token.ts'
import { pollUntil } from './support/until.ts'

let redis: TestRedis
t.before(async () => {
  redis = await startRedis()
})
t.teardown(() => redis.stop())

async function envOf(prefix: string): Promise<Record<string, string>> {
  return {
    REDIS_URL: redis.url,
    REDIS_PREFIX: `${prefix}:`,
    WORKERS: '2',
    PORT: String(await freePort()),
    CONNECT_RATE_MAX: '0',
  }
}

/** Two workers that listen. */
async function twoWorkers(t: Test, prefix: string, options: StartOptions = {}) {
  const server = await startServer(await envOf(prefix), options)
  t.teardown(() => server.stop())
  await pollUntil('both listen', () => pidsOf(server).length === 2, 10_000)
  return server
}

function pidsOf({ logs }: Server): number[] {
  return logs.filter(({ msg }) => msg === 'listening').map(({ pid }) => Number(pid))
}

async function isLive(server: Server): Promise<boolean> {
  return server.health('/health/live').then(
    ({ code }) => code === 200,
    () => false,
  )
}

async function twoClients(server: { host: string; port: number }): Promise<Client[]> {
  return [await connect(server, 'a'), await connect(server, 'b')]
}

async function areDrained(t: Test, clients: Client[]): Promise<void> {
  for (const client of clients) {
    t.match(await client.next('closing'), { reconnectInMs: Number })
    t.equal((await client.closed()).code, 1001)
    client.socket.destroy()
  }
}

t.test('out of descriptors, and back when the clients have gone', async (t) => {
  const server = await twoWorkers(t, 'crowd', { prefix: ['prlimit', '--nofile=200:200'] })
  // In waves, because the first process has no more descriptors than each of the workers.
  const waves: Flood[] = []
  for (let n = 0; n < 6; n++) waves.push(await flood(server, 100))
  waves.push(await flood(server, 900))
  const count = (status: number) => waves.reduce((sum, wave) => sum + wave.count(status), 0)
  t.ok(count(101) > 200, `both have taken clients (${count(101)})`)
  t.ok(count(503) > 0, 'others are told')
  for (let n = 0; n < 4; n++) t.ok(await isLive(server), 'health checks are answered')
  const lines = server.logs.filter(({ msg }) => msg === 'descriptors run out')
  t.ok(lines.length >= 2 && lines.length <= 3, `a line a process at most (${lines.length})`)
  for (const wave of waves) await wave.end()
  await pollUntil('clients are taken again', async () => {
    const late = await flood(server, 20)
    await late.end()
    return late.count(101) === 20
  })
  for (let n = 0; n < 10; n++) t.ok(await isLive(server), 'by each worker')
  t.equal(
    server.logs.filter(({ msg }) => /MAX_CLIENTS/.test(String(msg))).length,
    1,
    'the first process compares, for all',
  )
})

t.test('workers that cannot receive a connection are replaced', async (t) => {
  const server = await twoWorkers(t, 'lost')
  const old = pidsOf(server)
  const client = await connect(server, 'a')
  for (const pid of old) execFileSync('prlimit', ['--pid', String(pid), '--nofile=10:10'])
  await pollUntil('both have tried', async () => {
    await server.health('/health/live', 200).catch(() => {})
    return server.logs.filter(({ msg }) => /could not be handed over/.test(String(msg))).length === 2
  })
  await areDrained(t, [client])
  await pollUntil('two others listen', () => pidsOf(server).length === 4, 10_000)
  for (let n = 0; n < 10; n++) t.ok(await isLive(server))
})

t.test('a connection on its way to a worker that dies is cut', async (t) => {
  const server = await twoWorkers(t, 'dead')
  const [victim = 0] = pidsOf(server)
  process.kill(victim, 'SIGSTOP')
  const sockets = await Promise.all(Array.from({ length: 6 }, () => RawSocket.open(server)))
  for (const socket of sockets) socket.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')
  const answered = () => sockets.filter(({ response }) => response !== undefined).length
  await pollUntil('all but one are served meanwhile', () => answered() === 5)
  process.kill(victim, 'SIGKILL')
  await sockets.find(({ response }) => response === undefined)?.ended()
  for (const socket of sockets) socket.destroy()
})

t.test('with the first process killed, its workers drain', async (t) => {
  const server = await twoWorkers(t, 'orphans')
  const clients = await twoClients(server)
  const pids = pidsOf(server)
  server.signal('SIGKILL')
  await areDrained(t, clients)
  for (const pid of pids) await pollUntil('no worker is left', () => !isRunning(pid), 5_000)
})

t.test('a terminal that hangs up reaches all of them', async (t) => {
  const env = await envOf('terminal')
  const program = startProgram(t, process.execPath, ['dist/src/server.js'], {
    env: { ...env, JWT_SECRET: SECRET },
  })
  await program.until('both listen', () => program.stdout.split('"listening"').length === 3)
  const clients = await twoClients({ host: '127.0.0.1', port: Number(env.PORT) })
  program.signal('SIGHUP')
  await areDrained(t, clients)
  t.equal(await program.exited(), 0)
  t.equal(program.stdout.split('"msg":"stopping"').length, 3, 'each stops once')
  t.notMatch(program.stdout, /died/)
  t.equal(program.stderr, '')
})

t.test('what keeps all of them from starting is said once', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const env = { ...(await envOf('taken')), PORT: String((taken.address() as AddressInfo).port) }
  const server = await startServer(env, { waitForReady: false })
  t.same(await server.exited(), { code: 1, signal: null })
  t.match(server.stderr, /^roomcast cannot start: HOST, PORT: .*EADDRINUSE.*\n$/)
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
