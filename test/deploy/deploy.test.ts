// The files that deploy roomcast: linted as far as that goes without Docker, and the topology run as processes.
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import t from 'tap'
import { WebSocket } from 'ws'
import { variableName } from '../../src/config.ts'
import { settings } from '../../src/settings.ts'
import { API_SECRET, streamsAndApi } from '../support/api.ts'
import { Balancer, NGINX_CONF } from '../support/balancer.ts'
import { makeCertificate } from '../support/certificate.ts'
import { connect } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { recordIdle } from '../support/idle-client.ts'
import { hasNginx } from '../support/nginx.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startDeployment } from '../support/rolling.ts'
import { startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const names = new Set(Object.keys(settings.shape).map(variableName))
const defaultOf = (key: 'shutdownGraceMs' | 'pingIntervalMs' | 'pongTimeoutMs') =>
  Number(settings.shape[key].parse(undefined))
const noNginx = hasNginx() ? false : 'nginx is not installed'

interface Instruction {
  name: string
  value: string
}

/** A Dockerfile's instructions; continued lines are one. */
function instructions(text: string): Instruction[] {
  return text
    .replaceAll(/^#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => ({ name: line.split(' ', 1)[0] ?? '', value: line.slice(line.indexOf(' ') + 1) }))
}

t.test('Dockerfile: two stages, not root, exec form, a health check by node itself', async (t) => {
  const all = instructions(readFileSync('Dockerfile', 'utf8'))
  const known = 'ARG CMD COPY ENV EXPOSE FROM HEALTHCHECK LABEL RUN STOPSIGNAL USER WORKDIR'.split(' ')
  t.same(
    all.filter(({ name }) => !known.includes(name)),
    [],
    'nothing but instructions',
  )
  const stages = all.filter(({ name }) => name === 'FROM').map(({ value }) => value)
  t.equal(stages.length, 2)
  t.match(stages[0], /^node:.*-slim AS build$/)
  t.match(stages[1], /^node:.*-slim$/)
  const last = all.slice(all.findLastIndex(({ name }) => name === 'FROM'))
  const of = (name: string) => last.filter((one) => one.name === name).map(({ value }) => value)
  t.same(of('USER'), ['node'])
  t.equal(of('RUN').length, 0, 'the last stage only copies')
  t.same(of('STOPSIGNAL'), ['SIGTERM'])
  t.same(
    JSON.parse(of('CMD')[0] ?? ''),
    ['node', 'dist/src/server.js'],
    'exec form: signals reach the server',
  )
  const [env = ''] = of('ENV')
  t.match(env, /NODE_ENV=production/)
  t.match(env, /HOST=0\.0\.0\.0/)
  for (const pair of env.split(' ')) t.ok(names.has(pair.split('=')[0] ?? ''), `${pair} is a setting`)

  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string }
  t.ok(of('ARG').includes(`VERSION=${version}`), 'the version of package.json')
  const [label = ''] = of('LABEL')
  for (const name of ['title', 'licenses', 'version', 'revision'])
    t.match(label, `org.opencontainers.image.${name}=`)
  const copied = all
    .filter(({ name, value }) => name === 'COPY' && !value.startsWith('--from'))
    .flatMap(({ value }) => value.split(' ').slice(0, -1))
  t.ok(copied.length > 4)
  const ignore = readFileSync('.dockerignore', 'utf8').split('\n')
  for (const path of copied) {
    t.ok(existsSync(path), `${path} exists`)
    t.ok(ignore.includes(`!${path}`), `${path} is not ignored`)
  }
  t.ok(ignore.includes('*'), 'all else is')
  const builds = JSON.parse(readFileSync('tsconfig.build.json', 'utf8')) as { include: string[] }
  t.same(
    builds.include.filter((path) => !copied.includes(path)),
    [],
    'all that the build reads is there',
  )
  const engines = (JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } }).engines
  const node = all.find(({ name, value }) => name === 'ARG' && value.startsWith('NODE_VERSION='))?.value
  t.ok(
    Number(node?.split('=')[1]) >= Number(/\d+/.exec(engines.node)?.[0]),
    'a Node that package.json allows',
  )
})

t.test('Dockerfile: the health check tells a live server from none', async (t) => {
  const check = instructions(readFileSync('Dockerfile', 'utf8')).find(
    ({ name }) => name === 'HEALTHCHECK',
  )?.value
  const [, command = ''] = check?.split('CMD ') ?? []
  const [, ...args] = JSON.parse(command) as string[]
  const { Program } = await import('../support/program.ts')
  const run = async (port: number) => {
    const program = new Program(process.execPath, args, { env: { PORT: String(port) } })
    return program.exited()
  }
  const server = await startServer({ NODE_ENV: 'production' })
  t.teardown(() => server.stop())
  t.equal(await run(server.port), 0)
  await server.stop()
  t.equal(await run(server.port), 1)
})

interface Service {
  image?: string
  build?: string
  command?: string[]
  environment?: Record<string, string>
  stop_grace_period?: string
  volumes?: string[]
  depends_on?: Record<string, unknown>
  healthcheck?: { test: string[] }
  networks: { roomcast: { ipv4_address?: string } }
}

t.test('docker-compose.yml: what it names exists, and fits together', async (t) => {
  const require = createRequire(import.meta.url)
  let yaml: { parse(text: string, options: object): unknown }
  try {
    yaml = require('yaml')
  } catch {
    t.pass('no YAML parser is among the modules')
    return
  }
  const text = readFileSync('docker-compose.yml', 'utf8')
  const { services, networks } = yaml.parse(text, { merge: true }) as {
    services: Record<string, Service>
    networks: { roomcast: { ipam: { config: [{ subnet: string }] } } }
  }
  t.same(Object.keys(services), ['redis', 'node1', 'node2', 'nginx'])
  const { node1, node2, nginx, redis } = services as Record<'node1' | 'node2' | 'nginx' | 'redis', Service>
  t.same({ ...node1, networks: 0 }, { ...node2, networks: 0 }, 'the nodes are alike')
  const env = node1.environment ?? {}
  for (const [name, value] of Object.entries(env)) {
    t.ok(names.has(name), `${name} is a setting`)
    t.type(value, 'string', 'and is text')
  }
  const { JWT_SECRET, ...others } = env
  t.match(JWT_SECRET, /^\$\{JWT_SECRET:\?/, 'it does not start without a secret')
  const given = Object.fromEntries(Object.entries(others))
  const server = await startServer({ ...given, NODE_ENV: 'production', REDIS_URL: 'redis://127.0.0.1:1' })
  t.teardown(() => server.stop())
  await server.stop()
  t.equal(server.stderr, '', 'the server takes these values')
  t.equal(node1.build, '.')
  const graceS = Number(/^(\d+)s$/.exec(node1.stop_grace_period ?? '')?.[1])
  const serverGraceMs = Number(env.SHUTDOWN_GRACE_MS ?? defaultOf('shutdownGraceMs'))
  t.ok(graceS * 1000 > serverGraceMs + 1_000, 'the stop waits for the whole grace')
  t.ok(Number(env.DRAIN_MS) < serverGraceMs)
  for (const service of Object.values(services)) {
    for (const name of Object.keys(service.depends_on ?? {})) t.ok(name in services, `${name} is a service`)
    for (const volume of service.volumes ?? []) t.ok(existsSync(volume.split(':')[0] ?? ''), volume)
    t.ok(service.healthcheck !== undefined || service.build !== undefined, 'each has a health check')
  }
  t.same(redis.healthcheck?.test, ['CMD', 'redis-cli', 'ping'])
  t.match(redis.command, ['redis-server'])
  t.equal(env.REDIS_URL, 'redis://redis:6379')
  t.same(nginx.volumes, [`./${NGINX_CONF}:/etc/nginx/nginx.conf:ro`])
  t.match(nginx.healthcheck?.test.join(' '), /http:\/\/127\.0\.0\.1\/balancer/)
  const subnet = networks.roomcast.ipam.config[0].subnet.replace(/0\/24$/, '')
  for (const { networks } of [node1, node2, nginx])
    t.ok(networks.roomcast.ipv4_address?.startsWith(subnet), 'a fixed address of the network')
  t.equal(env.TRUST_PROXY, nginx.networks.roomcast.ipv4_address, 'nginx is trusted, and nobody else')

  const conf = readFileSync(NGINX_CONF, 'utf8')
  t.match(conf, /server node1:8080/)
  t.match(conf, /server node2:8080/)
  const readS = Number(/proxy_read_timeout (\d+)s/.exec(conf)?.[1])
  const pingMs = Number(env.PING_INTERVAL_MS ?? defaultOf('pingIntervalMs'))
  t.ok(readS * 1000 > pingMs + defaultOf('pongTimeoutMs'), 'nginx is more patient than the pings')
  t.match(conf, /error_log \S+ crit;/)
})

t.test('the topology: nginx, two nodes, Redis', { skip: noNginx }, async (t) => {
  const limits = { CONNECT_RATE_MAX: '40', CONNECT_RATE_WINDOW_MS: '60000', PING_INTERVAL_MS: '500' }
  const { nodes, balancer } = await startDeployment(t, { ...limits, API_KEYS: `all:${API_SECRET}` })
  t.match(await balancer.check(), /syntax is ok[\s\S]*test is successful/)
  const clients = []
  for (let n = 0; n < 10; n++) clients.push(await connect(balancer, `u${n}`))
  const [a, ...others] = clients as [(typeof clients)[number], ...typeof clients]
  t.equal(new Set(clients.map(({ welcome }) => welcome.node)).size, 2, 'both nodes get clients')
  for (const client of clients) await client.join('r')
  t.match(await a.publish('r', 'hello'), { scope: 'cluster', offset: 1 })
  for (const client of others) t.match(await client.next('message'), { content: 'hello', offset: 1 })
  const large = 'x'.repeat(500_000)
  await a.publish('r', large)
  for (const client of others) t.ok((await client.next('message')).content === large, 'large ones too')
  const idle = await recordIdle(balancer)
  await idle.socket.until('pings through nginx', () => idle.pings() >= 3, 10_000)
  t.same(idle.foreign(), [], 'and not a byte else')
  idle.socket.destroy()

  await streamsAndApi(t, balancer)

  const withProtocol = await RawSocket.upgrade(balancer, '/ws', {
    lines: [`Sec-WebSocket-Protocol: roomcast.v1, bearer.${tokenFor('p')}`],
  })
  t.match(withProtocol.response, { status: 101, headers: { 'sec-websocket-protocol': 'roomcast.v1' } })
  withProtocol.destroy()
  const long = await RawSocket.upgrade(balancer, `/ws?token=${tokenFor('l', { pad: 'x'.repeat(6_000) })}`)
  t.equal(long.response?.status, 101, 'a long token')
  long.destroy()
  for (const path of ['/health', '/health/ready', '/metrics', '/ws', '/nothing']) {
    const { status } = await fetch(balancer.url(path))
    t.equal(status, path === '/ws' ? 426 : 404, path)
  }
  const bad = await RawSocket.upgrade(balancer, '/ws?token=bad')
  t.equal(bad.response?.status, 401)
  bad.destroy()

  // The limit counts the client's own address, whatever it says of itself, over both nodes.
  for (const address of ['127.0.0.1', '127.0.0.2']) {
    let refused = 0
    for (let n = 0; n < 60; n++) {
      const socket = await RawSocket.upgrade(balancer, `/ws?token=${tokenFor('f')}`, {
        lines: [`X-Forwarded-For: 10.0.0.${n}`],
        tcp: { localAddress: address },
      })
      if (socket.response?.status === 429) refused++
      socket.destroy()
    }
    // Some of the 40 of 127.0.0.1 are taken by now.
    t.ok(refused >= 20 && refused < 40, `${refused} of 60 from ${address} are refused`)
  }
  await Promise.all(clients.map((client) => client.close()))
  await Promise.all(nodes.map((node) => clientsAre(node, 0, { rooms: 0, deadlineMs: 5_000 })))
})

t.test(
  'a node that is down or drains is passed over, and nginx logs no token',
  { skip: noNginx },
  async (t) => {
    const { nodes, balancer } = await startDeployment(t)
    const [one, two] = nodes as [(typeof nodes)[number], (typeof nodes)[number]]
    const token = tokenFor('secret')
    one.signal('SIGSTOP')
    // Frozen: its kernel still accepts; nginx notices at the time-out of the answer, so clients of it have to come again.
    one.signal('SIGCONT')
    await one.stop('SIGKILL')
    for (let n = 0; n < 20; n++) {
      const client = await connect(balancer, 'secret', {}, { token })
      t.equal(client.welcome.node, (await two.health()).node)
      await client.close()
    }
    const holding = await connect(balancer, 'holds')
    two.signal('SIGTERM')
    await holding.next('closing')
    await holding.closed()
    await two.exited()
    const refused = await RawSocket.upgrade(balancer, `/ws?token=${token}`)
    t.match(refused.response?.status, /^50[234]$/, 'with none left, nginx says so at once')
    refused.destroy()
    holding.socket.destroy()
    t.notOk(balancer.errors.includes('token='), 'no token in the log')
    await pollUntil('the last refusal is logged', () => / "GET \/ws" 50[234] /.test(balancer.accesses))
    t.match(balancer.accesses, /^127\.0\.0\.1 \[\S+\] "GET \/ws" 101 /m)
    t.notMatch(balancer.accesses, /token|eyJ/, 'nor in that of accesses')
    const back = await startServer({
      PORT: String(one.port),
      TRUST_PROXY: '127.0.0.1',
      CONNECT_RATE_MAX: '0',
    })
    t.teardown(() => back.stop())
    const client = await pollUntil('it is used again', () =>
      connect(balancer, 'again').catch(() => undefined),
    )
    await client.close()
  },
)

t.test('of many nodes each is asked once, and over TLS too', { skip: noNginx }, async (t) => {
  const server = await startServer({ CONNECT_RATE_MAX: '0' })
  t.teardown(() => server.stop())
  const away = await Promise.all(
    [1, 2, 3, 4].map(async () => ({ host: '127.0.0.1', port: await freePort() })),
  )
  const balancer = new Balancer(await freePort(), [...away, server])
  t.teardown(() => balancer.stop())
  const certificate = makeCertificate(t)
  const port = await freePort()
  balancer.listenWithTls(port, certificate)
  await balancer.begin()
  const ca = readFileSync(certificate.cert)
  for (let n = 0; n < 5; n++) {
    const plain = await connect(balancer, 'plain')
    await plain.close()
  }
  const socket = new WebSocket(`wss://127.0.0.1:${port}/ws?token=${tokenFor('tls')}`, { ca })
  const [text] = await once(socket, 'message')
  t.match(JSON.parse(String(text)), { type: 'welcome', user: 'tls' })
  socket.terminate()
  t.notMatch(balancer.errors, 'token=')
})

t.test('a reload of nginx leaves the clients where they are', { skip: noNginx }, async (t) => {
  const server = await startServer({ CONNECT_RATE_MAX: '0' })
  t.teardown(() => server.stop())
  const balancer = await Balancer.start([server, server])
  t.teardown(() => balancer.stop())
  const a = await connect(balancer, 'a')
  await a.join('r')
  balancer.reload()
  const b = await pollUntil('new ones are taken', () => connect(balancer, 'b').catch(() => undefined))
  await b.join('r')
  await b.publish('r', 1)
  t.match(await a.next('message'), { content: 1 })
  await Promise.all([a.close(), b.close()])
})
