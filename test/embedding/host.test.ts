// Apps that embed roomcast in a server of another kind, or with a logger of their own.
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { type AddressInfo, createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import roomcast, { type RoomcastOptions } from '../../src/app.ts'
import { makeCertificate } from '../support/certificate.ts'
import { exchange } from '../support/exchange.ts'
import { upgradeRequest } from '../support/raw-socket.ts'
import { SECRET, tokenFor } from '../support/token.ts'

/** Registers roomcast in the app, and listens; closed with the test. */
async function listening(t: Test, app: FastifyInstance, options: Partial<RoomcastOptions> = {}) {
  t.teardown(() => app.close())
  await app.register(roomcast, { jwtSecret: SECRET, ...options })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { host: '127.0.0.1', port: (app.server.address() as AddressInfo).port }
}

/** One request over HTTP/2. */
async function request(session: ClientHttp2Session, headers: IncomingHttpHeaders) {
  const stream = session.request(headers)
  let body = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    body += text
  })
  const closed = once(stream, 'close')
  const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }]
  await closed
  return { status: answer[':status'], headers: answer, body }
}

/** Everything that comes on a connection until the server ends it, or `part` has come. */
async function heard(socket: ReturnType<typeof createConnection>, bytes: string, part = '\0') {
  let text = ''
  socket.on('error', () => {})
  socket.write(bytes)
  for await (const chunk of socket) {
    text += chunk
    if (text.includes(part)) break
  }
  socket.destroy()
  return text
}

t.test('over HTTP/2 every refusal is an answer, without headers of the connection', async (t) => {
  const { cert, key } = makeCertificate(t)
  const https = { key: readFileSync(key), cert: readFileSync(cert) }
  const kinds: [name: string, app: () => unknown, scheme: string][] = [
    ['TLS, HTTP/1.1 too', () => Fastify({ http2: true, https: { ...https, allowHTTP1: true } }), 'https'],
    ['TLS', () => Fastify({ http2: true, https }), 'https'],
    ['clear text', () => Fastify({ http2: true }), 'http'],
  ]
  for (const [name, make, scheme] of kinds) {
    for (const prefix of ['', '/realtime']) {
      const options = { prefix, connectRateMax: 6, allowedOrigins: ['https://a.example'] }
      const { port } = await listening(t, make() as FastifyInstance, options)
      const session = connectHttp2(`${scheme}://127.0.0.1:${port}`, { rejectUnauthorized: false })
      const get = (path: string, more: IncomingHttpHeaders = {}) =>
        request(session, { ':path': prefix + path, ...more })
      const token = tokenFor('a')
      for (const [path, more] of [
        ['/ws', {}],
        [`/ws?token=${token}`, {}],
        ['/ws', { authorization: `Bearer ${token}`, origin: 'https://b.example' }],
        ['/ws', { 'sec-websocket-version': '13', 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==' }],
        ['/w%73', {}],
      ] as const) {
        const { status, headers, body } = await get(path, more)
        t.equal(status, path === '/w%73' ? 404 : 426, `${name}: ${prefix}${path}`)
        t.match(JSON.parse(body), { error: 'bad_upgrade' })
        t.notOk('upgrade' in headers || 'connection' in headers)
      }
      for (const method of ['POST', 'HEAD', 'OPTIONS']) {
        t.equal((await get('/ws', { ':method': method })).status, 404, method)
      }
      t.equal((await get('/ws')).status, 426)
      const limited = await get('/ws')
      t.match(limited, { status: 429, headers: { 'retry-after': /^\d+$/ } }, 'too many from one address')
      for (const path of ['/health', '/health/live', '/health/ready']) t.equal((await get(path)).status, 200)
      session.close()
    }
  }
})

t.test('beside HTTP/2, clients connect over HTTP/1.1; a server that has none says so', async (t) => {
  const { cert, key } = makeCertificate(t)
  const https = { key: readFileSync(key), cert: readFileSync(cert) }
  const both = Fastify({ http2: true, https: { ...https, allowHTTP1: true } })
  const { port } = await listening(t, both as unknown as FastifyInstance)
  const tls = () => connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
  t.match(await heard(tls(), upgradeRequest(`/ws?token=${tokenFor('a')}`), '"welcome"'), / 101 /)
  t.match(await heard(tls(), 'GET /ws HTTP/1.1\r\nHost: a\r\n\r\n'), / 426 .*upgrade: websocket/is)

  let log = ''
  const write = (line: string) => {
    log += line
  }
  const logger = { stream: { write } }
  await listening(t, Fastify({ http2: true, logger }) as unknown as FastifyInstance)
  t.match(log, /HTTP\/2 only/)
})

t.test('a token is not in the log, whatever the logger of the app', async (t) => {
  let log = ''
  const write = (...line: unknown[]) => {
    log += `${line.map(shown).join(' ')}\n`
  }
  /** What loggers print of Fastify's `{ req, res, err }`. */
  const shown = (value: unknown): string =>
    typeof value !== 'object' || value === null
      ? String(value)
      : JSON.stringify({ ...value, url: (value as { req?: { url: string } }).req?.url, req: 0, res: 0 })
  /** A class with its methods on the prototype, whose child knows no level, as winston's. */
  class Winstonish {
    readonly levels = { error: 0, info: 2 }
    silly = write
    info(...line: unknown[]) {
      write(...line)
    }
    child(_bindings: object) {
      return Object.create(this)
    }
  }
  for (const level of ['trace', 'debug', 'warn', 'error', 'fatal']) {
    Object.defineProperty(Winstonish.prototype, level, { value: write })
  }
  const own: Record<string, unknown> = { child: () => own, info: write }
  for (const level of ['trace', 'debug', 'warn', 'error', 'fatal']) own[level] = write
  const kinds: [name: string, server: FastifyServerOptions][] = [
    ['a class whose child ignores the level', { loggerInstance: new Winstonish() as never }],
    ['an object whose child ignores everything', { loggerInstance: own as never }],
    [
      'a factory that passes no level on',
      {
        logger: { level: 'trace', stream: { write } },
        childLoggerFactory: (logger, bindings) => logger.child({ ...bindings, tenant: 1 }),
      },
    ],
  ]
  for (const [name, server] of kinds) {
    const app = Fastify(server)
    app.addHook('onRequest', async (request) => {
      // What a hook of the app does with its own logger goes on working.
      if ('silly' in app.log) (request.log as unknown as { silly: (text: string) => void }).silly('a hook')
      request.log.child({}).info({ req: request }, 'a hook')
    })
    app.get('/mine', async () => 'mine')
    const address = await listening(t, app)
    log = ''
    const close = 'Host: a\r\nConnection: close\r\n\r\n'
    const good = tokenFor('a')
    const socket = createConnection(address)
    t.match(await heard(socket, upgradeRequest(`/ws?token=${good}`), '"welcome"'), / 101 /)
    for (const bytes of [
      upgradeRequest('/ws?token=SECRET123'),
      `GET /ws?token=SECRET123 HTTP/1.1\r\n${close}`,
      `POST /ws?token=SECRET123 HTTP/1.1\r\n${close}`,
      `GET /mine HTTP/1.1\r\n${close}`,
    ]) {
      await exchange(address, bytes)
    }
    t.notOk(log.includes('SECRET123') || log.includes(good), `${name}: no token`)
    t.match(log, '/mine', 'the other requests are logged as ever')
  }
})

t.test('on a Unix socket clients are one address, unless the app trusts what its proxy says', async (t) => {
  for (const [trustProxy, statuses] of [
    [undefined, '101 101 101 429 429'],
    ['loopback', '101 101 101 429 429'],
    [true, '101 101 101 101 101'],
    [() => true, '101 101 101 101 101'],
  ] as const) {
    const app = Fastify(trustProxy === undefined ? {} : { trustProxy })
    t.teardown(() => app.close())
    await app.register(roomcast, { jwtSecret: SECRET, connectRateMax: 3 })
    // A socket's path has 107 bytes at most.
    const folder = mkdtempSync(join(tmpdir(), 'roomcast-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true }))
    const path = join(folder, 'socket')
    await app.listen({ path })
    const got: string[] = []
    for (let i = 1; i <= 5; i++) {
      const lines = [`X-Forwarded-For: 192.0.2.${i}:4711`]
      const bytes = upgradeRequest(`/ws?token=${tokenFor('a')}`, { lines })
      got.push((await heard(createConnection(path), bytes, '\r\n\r\n')).slice('HTTP/1.1 '.length, 12))
    }
    t.equal(got.join(' '), statuses, String(trustProxy))
  }
})
