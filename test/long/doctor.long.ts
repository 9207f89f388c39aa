// doctor: what stands between a client and its node, planted with real proxies.
import { createServer as createHttp } from 'node:http'
import {
  type AddressInfo,
  connect as connectTcp,
  createServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { examine } from '../../cli/commands/doctor.ts'
import type { Finding } from '../../cli/finding.ts'
import { makeCertificate } from '../support/certificate.ts'
import { BIN, runCli } from '../support/cli.ts'
import { connect } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { Nginx } from '../support/nginx.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { nowS, tokenFor } from '../support/token.ts'

const ORIGIN = 'https://example.com'
const quick = { PING_INTERVAL_MS: '1500', PONG_TIMEOUT_MS: '1000', ALLOWED_ORIGINS: ORIGIN }
const start = async (t: Test, env: Env = {}) => {
  const server = await startServer({ ...quick, ...env })
  t.teardown(() => server.stop())
  return server
}
const server = await start(t)

const UPGRADES =
  'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_http_version 1.1;'
const KEPT = 'location = /metrics { return 404; }'

/** nginx in front of the server; these directives stand beside its own location. */
async function proxied(t: Test, beside: string, inside = ''): Promise<string> {
  const upstream = `proxy_pass http://${server.host}:${server.port}`
  const location = `${inside} } ${KEPT} ${beside.replaceAll('PASS', upstream)} location /nothing {`
  const nginx = await Nginx.start({ upstream: server, location })
  t.teardown(() => nginx.stop())
  return `http://${nginx.host}:${nginx.port}`
}

/** Takes connections by itself. */
async function listening(t: Test, taker: TcpServer): Promise<string> {
  const open = new Set<Socket>()
  taker.on('connection', (socket: Socket) => open.add(socket.on('close', () => open.delete(socket))))
  await new Promise<void>((resolve) => taker.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    taker.close()
  })
  return `http://127.0.0.1:${(taker.address() as AddressInfo).port}`
}

/** Gives each connection to the next of these servers. */
function inTurn(t: Test, servers: Server[]): Promise<string> {
  let next = 0
  return listening(
    t,
    createServer((socket) => {
      const { host, port } = servers[next++ % servers.length] as Server
      const other = connectTcp(port, host)
      socket.on('error', () => other.destroy()).on('close', () => other.destroy())
      other.on('error', () => socket.destroy()).on('close', () => socket.destroy())
      socket.pipe(other).pipe(socket)
    }),
  )
}

/** Passes on nothing behind the head of an upgrade's answer. */
function swallowing(t: Test): Promise<string> {
  return listening(
    t,
    createServer((socket) => {
      const other = connectTcp(server.port, server.host)
      socket.on('error', () => other.destroy())
      other.on('error', () => socket.destroy())
      socket.pipe(other)
      let isUpgraded = false
      other.on('data', (bytes: Buffer) => {
        const end = bytes.indexOf('\r\n\r\n') + 4
        if (bytes.includes('101 Switching')) socket.write(bytes.subarray(0, end))
        else if (!isUpgraded) socket.write(bytes)
        isUpgraded ||= bytes.includes('101 Switching')
      })
    }),
  )
}

const wrong = (found: Finding[]) => found.filter(({ level }) => level !== 'ok')
const token = tokenFor('doctor', { exp: nowS() + 3 * 3600 })
let named = 0

interface Planted {
  url: string
  name: string
  cause: RegExp
  mend?: RegExp
  flags?: { token?: string; origin?: string; nodes?: number }
}

async function isNamed(t: Test, { url, name, cause, mend = /./, flags = {} }: Planted): Promise<void> {
  const found = wrong(await examine(url, { idle: 5, token, origin: ORIGIN, ...flags }))
  const one = found.find((finding) => finding.name === name && cause.test(finding.cause))
  t.ok(one?.mend !== undefined && mend.test(one.mend), `${name} ${cause}: ${JSON.stringify(found)}`)
  if (one !== undefined) named++
}

t.test('what cannot be reached, or is another server', async (t) => {
  await isNamed(t, { url: `http://127.0.0.1:${await freePort()}`, name: 'reach', cause: /ECONNREFUSED/ })
  await isNamed(t, { url: 'http://nothing.invalid', name: 'reach', cause: /ENOTFOUND|EAI_AGAIN/ })
  const hello = await listening(
    t,
    createHttp((_request, response) => response.end('hello')),
  )
  await isNamed(t, { url: hello, name: 'health', cause: /not roomcast's/ })
  await isNamed(t, { url: hello, name: 'upgrade', cause: /./ })
  const app = Fastify()
  t.teardown(() => app.close())
  const beside = await app.listen({ host: '127.0.0.1', port: 0 })
  await isNamed(t, { url: beside, name: 'upgrade', cause: /404, and not roomcast's/, mend: /prefix/ })
  t.notMatch(JSON.stringify(await examine(beside, { idle: 1, token })), token, 'a token in no finding')
  const moved = createHttp((_request, response) =>
    response.writeHead(301, { location: 'https://x.example/' }).end(),
  )
  await isNamed(t, {
    url: await listening(t, moved),
    name: 'reach',
    cause: /sends on to https:\/\/x.example/,
  })
  const cutting = await listening(
    t,
    createServer((socket) => socket.destroy()),
  )
  await isNamed(t, { url: cutting, name: 'reach', cause: /ECONNRESET/ })
})

t.test('TLS', async (t) => {
  const certificate = makeCertificate(t)
  const secure = await start(t, { TEST_TLS_CERT: certificate.cert, TEST_TLS_KEY: certificate.key })
  const url = `https://127.0.0.1:${secure.port}`
  await isNamed(t, { url, name: 'tls', cause: /SELF_SIGNED/, mend: /fullchain/ })
  const plain = `https://127.0.0.1:${server.port}`
  await isNamed(t, { url: plain, name: 'tls', cause: /./, mend: /speaks no TLS/ })
})

t.test('proxies', async (t) => {
  const plant = async (beside: string, name: string, cause: RegExp, mend?: RegExp) =>
    isNamed(t, { url: await proxied(t, beside), name, cause, ...(mend !== undefined && { mend }) })
  await plant(
    'location /ws { PASS; proxy_http_version 1.1; }',
    'upgrade',
    /takes the Upgrade header away/,
    /Upgrade/,
  )
  await plant(
    `location /ws { PASS; ${UPGRADES.replace('1.1', '1.0')} }`,
    'upgrade',
    /HTTP\/1\.0/,
    /proxy_http_version/,
  )
  await plant(`location /ws { PASS/socket; ${UPGRADES} }`, 'upgrade', /changes the path/)
  await plant('location /ws { return 404; }', 'upgrade', /\/ws is 404 by nginx/, /the path/)
  await plant('location /ws { return 403; }', 'proxy', /403 by nginx.*not by roomcast/)
  const nobody = `proxy_pass http://127.0.0.1:${await freePort()}`
  await plant(`location /ws { ${nobody}; ${UPGRADES} }`, 'proxy', /no node: 502/)
  await plant(`location /health { ${nobody}; }`, 'proxy', /no node: 502/)
  await plant(
    `location /ws { PASS; ${UPGRADES} proxy_read_timeout 1s; }`,
    'idle',
    /cut after 1 s/,
    /proxy_read_timeout/,
  )
  const protocol = 'proxy_set_header Sec-WebSocket-Protocol "";'
  await plant(
    `location /ws { PASS; ${UPGRADES} ${protocol} }`,
    'upgrade',
    /roomcast.v1|subprotocol/i,
    /Sec-WebSocket/,
  )
  await plant(
    `location /ws { PASS; ${UPGRADES} proxy_set_header Origin "https://proxy.example"; }`,
    'origin',
    /refused/,
  )
  const buffered =
    'proxy_buffering on; proxy_ignore_headers X-Accel-Buffering; proxy_http_version 1.1; proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;'
  await plant(`location /sse { PASS; ${buffered} }`, 'buffering', /kept back/, /proxy_buffering off/)
  await plant(
    'location /sse { PASS; proxy_http_version 1.1; gzip on; gzip_types text/event-stream; gzip_min_length 0; gzip_proxied any; }',
    'buffering',
    /compresses|kept back/,
  )
  await plant('location /sse { return 404; }', 'stream', /404/)
  await isNamed(t, { url: await swallowing(t), name: 'buffering', cause: /nothing comes/ })
  const open = await Nginx.start({ upstream: server })
  t.teardown(() => open.stop())
  await isNamed(t, { url: `http://127.0.0.1:${open.port}`, name: 'metrics', cause: /from outside/ })
})

t.test('tokens, origins, limits, clocks and hooks', async (t) => {
  const at = async (env: Env) => {
    const one = await start(t, env)
    return `http://${one.host}:${one.port}`
  }
  const url = `http://${server.host}:${server.port}`
  const other = tokenFor('ada', {}, { key: 'another-secret-of-another-server-0' })
  await isNamed(t, { url, name: 'token', cause: /401/, mend: /another secret/, flags: { token: other } })
  await isNamed(t, {
    url,
    name: 'origin',
    cause: /are refused/,
    flags: { origin: 'https://missing.example' },
  })
  await isNamed(t, { url: await at({ ALLOWED_ORIGINS: '' }), name: 'origin', cause: /any site/ })
  await isNamed(t, {
    url: await at({ CONNECT_RATE_MAX: '2' }),
    name: 'limits',
    cause: /429/,
    mend: /TRUST_PROXY/,
  })
  const full = await start(t, { MAX_CLIENTS: '1' })
  const client = await connect(full, 'ada')
  await isNamed(t, { url: `http://127.0.0.1:${full.port}`, name: 'limits', cause: /full/ })
  await client.close()
  const later = 'data:text/javascript,const%20now=Date.now;Date.now=()=>now()+3600000'
  await isNamed(t, {
    url: await at({ NODE_OPTIONS: `--import ${later}` }),
    name: "the node's clock",
    cause: /1 h ahead/,
  })
  const hook = { HOOK_URL: `http://127.0.0.1:${await freePort()}`, HOOKS: 'connect' }
  const signed = { ...hook, HOOK_SECRET: `whsec_${Buffer.alloc(32).toString('base64')}` }
  await isNamed(t, { url: await at(signed), name: 'hook', cause: /cannot be had/ })
})

t.test('nodes', async (t) => {
  const url = `http://${server.host}:${server.port}`
  await isNamed(t, { url, name: 'cluster', cause: /1 of 3 nodes/, flags: { nodes: 3 } })
  const [twin, stranger] = [
    await start(t),
    await start(t, { JWT_SECRET: 'of-its-own-0123456789abcdef0123456789' }),
  ]
  await isNamed(t, { url: await inTurn(t, [server, twin]), name: 'cluster', cause: /do not know each other/ })
  await isNamed(t, {
    url: await inTurn(t, [server, stranger]),
    name: 'nodes',
    cause: /others do not: the token/,
  })
  const lost = await start(t, { REDIS_URL: `redis://127.0.0.1:${await freePort()}` })
  await isNamed(t, { url: `http://127.0.0.1:${lost.port}`, name: 'redis', cause: /ECONNREFUSED: / })
  t.comment(`${named} are named`)
  t.ok(named >= 30)
})

t.test('healthy set-ups get no word', async (t) => {
  const urls = [
    `http://${server.host}:${server.port}`,
    await proxied(t, `location /ws { PASS; ${UPGRADES} proxy_read_timeout 60s; }`),
    await proxied(t, 'location /health { return 404; }'),
    await proxied(t, '', 'proxy_buffering on;'),
    `http://127.0.0.1:${(await start(t, { METRICS: 'false', REQUIRE: '' })).port}`,
  ]
  for (const url of urls.slice(0, 2))
    t.strictSame(wrong(await examine(url, { idle: 5, token, origin: ORIGIN, nodes: 1 })), [])
  for (const url of urls.slice(3))
    t.strictSame(wrong(await examine(url, { idle: 5, token, origin: ORIGIN })), [])
  // A proxy that keeps /health is only looked at.
  t.match(wrong(await examine(urls[2] ?? '', { idle: 5, token, origin: ORIGIN })), [
    { name: 'health', level: 'warn' },
  ])
})

t.test('the command', async (t) => {
  t.ok(BIN)
  const url = `http://${server.host}:${server.port}`
  const fine = await runCli(t, ['doctor', url, '--idle', '5', '--origin', ORIGIN])
  t.match(fine, { code: 0, stdout: /ok {3}idle: a quiet client is kept.*[\s\S]*nothing is wrong/ })
  const out = await runCli(t, ['doctor', url, '--idle', '1', '--json'], {
    env: { JWT_SECRET: 'x'.repeat(32) },
  })
  t.match(out, { code: 1, stdout: /"name": "origin"|"name": "token"/ })
  t.match(await runCli(t, ['doctor', 'nonsense']), { code: 2 })
})
