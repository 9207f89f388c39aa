// Upgrades in an app that embeds roomcast, beside what is the app's own.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import roomcast, { type RoomcastOptions } from '../../src/app.ts'
import { exchange } from '../support/exchange.ts'
import { startProgram } from '../support/program.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { SECRET, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const h2c = (method: string, path: string, rest = '\r\n') =>
  `${method} ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n${rest}`

interface Host {
  options?: Partial<RoomcastOptions>
  server?: FastifyServerOptions
  /** What the app does before it registers roomcast, and after. */
  before?: (app: FastifyInstance) => void
  after?: (app: FastifyInstance) => void
}

/** An app that embeds roomcast, and listens. */
async function host(t: Test, { options, server = {}, before, after }: Host = {}) {
  const app = Fastify(server)
  t.teardown(() => app.close())
  before?.(app)
  await app.register(roomcast, { jwtSecret: SECRET, ...options })
  after?.(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, address: { host: '127.0.0.1', port: (app.server.address() as AddressInfo).port } }
}

type Where = Awaited<ReturnType<typeof host>>['address']

/** Sends `bytes` on a connection of their own; `text` is everything that has come. */
async function sends(address: Where, bytes: string) {
  const socket = await RawSocket.open(address)
  const heard = { socket, text: '' }
  socket.tcp.prependListener('data', (chunk) => {
    heard.text += chunk
  })
  socket.write(bytes)
  return heard
}

/** Sends `bytes`, and waits until the text of everything that came has `part`. */
async function hears(address: Where, bytes: string, part: string): Promise<string> {
  const heard = await sends(address, bytes)
  await heard.socket.until(
    () => `${part} in ${JSON.stringify(heard.text)}, end ${heard.socket.end}`,
    () => heard.text.includes(part),
  )
  heard.socket.destroy()
  return heard.text
}

/** Sends `bytes`, and `last` when an answer has come; everything that came until the server ended the connection. */
async function whole(address: Where, bytes: string, last: string): Promise<string> {
  const heard = await sends(address, bytes)
  const { socket } = heard
  await socket.until('an answer', () => heard.text !== '' || socket.end)
  socket.write(last)
  await socket.ended()
  socket.destroy()
  return heard.text
}

t.test('an upgrade behind a request that is not answered yet waits for its turn', async (t) => {
  const held = gate()
  const { address } = await host(t, {
    after: (app) => {
      app.get('/slow', async () => {
        await held.wait()
        return 'slow'
      })
    },
  })
  const slow = 'GET /slow HTTP/1.1\r\nHost: a\r\n\r\n'
  const answers = [
    hears(address, slow + slow + h2c('GET', '/health'), '"status":"healthy"'),
    hears(address, slow + upgradeRequest(`/ws?token=${tokenFor('a')}`), '"type":"welcome"'),
  ]
  await held.reached(2)
  held.open()
  const [plain, upgraded] = await Promise.all(answers)
  t.match(plain, /slow.*slow.*healthy/s, 'the answers before it came first')
  t.match(upgraded, /slow.*101 Switching/s)
})

t.test('a request that offers another protocol is served as if it had not', async (t) => {
  // Before that, Node gives out the request with its body unread.
  const nodeDeclines = 'shouldUpgradeCallback' in createServer()
  const { address } = await host(t, {
    after: (app) => {
      app.post('/echo', async (request) => ({ heard: request.body }))
      app.get('/secret', async () => 'behind a proxy that looks at each request')
    },
  })
  t.match(await hears(address, h2c('GET', '/health'), '}}'), /^HTTP\/1\.1 200.*healthy/s)
  t.match(await hears(address, h2c('HEAD', '/health'), '\r\n\r\n'), /^HTTP\/1\.1 200/)
  // As Java's HttpClient has it: a length of zero with every request.
  const empty = 'Content-Length: 0\r\n\r\n'
  for (const path of ['/health', '/health/live', '/health/ready']) {
    t.match(await hears(address, h2c('GET', path, empty), '}'), /^HTTP\/1\.1 200/, path)
  }
  t.match(await hears(address, h2c('POST', '/echo', empty), '}'), /^HTTP\/1\.1 200.*\{\}$/s)
  const inner = 'GET /secret HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  const length = (body: string) => `Content-Length: ${body.length}\r\n`
  const json = '{"a":1}'
  const { response } = await exchange(
    address,
    h2c('POST', '/echo', `Content-Type: application/json\r\n${length(json)}Connection: close\r\n\r\n${json}`),
  )
  t.match(response, nodeDeclines ? { status: 200, body: '{"heard":{"a":1}}' } : { status: 404 })
  // Node keeps about a thousand header lines, and goes by all of them.
  const many = 'a: b\r\n'.repeat(1100)
  for (const bytes of [
    h2c('POST', '/echo', `${length(inner)}\r\n${inner}`),
    h2c('GET', '/health', `${length(inner)}\r\n${inner}`),
    h2c('GET', '/health', `${many}${length(inner)}\r\n${inner}`),
    h2c('POST', '/echo', `${many}${length(inner)}\r\n${inner}`),
    h2c(
      'POST',
      '/echo',
      `Transfer-Encoding: chunked\r\n\r\n${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`,
    ),
  ]) {
    const last = 'GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    t.notMatch(await whole(address, bytes, last), 'behind a proxy', 'a body is never taken for a request')
  }
})

t.test('a close does not wait for upgrades that its hooks hold, and lets none of them in', async (t) => {
  const held = gate()
  const { app, address } = await host(t, {
    before: (app) => {
      app.addHook('preHandler', (request) => (request.url === '/never' ? new Promise(() => {}) : held.wait()))
    },
    after: (app) => {
      app.get('/feed', { websocket: true }, () => {})
      app.get('/never', { websocket: true }, () => {})
    },
  })
  const entering = await Promise.all(
    [`/ws?token=${tokenFor('a')}`, '/feed', '/never'].map(async (path) => {
      const socket = await RawSocket.open(address)
      await socket.flush(upgradeRequest(path))
      return socket
    }),
  )
  await held.reached(2)
  const closing = app.close()
  await pollUntil('the close has begun', () => app.hub.isDraining)
  held.open()
  const [ours, theirs, stuck] = entering as [RawSocket, RawSocket, RawSocket]
  t.match(await ours.answer(), { status: 503 })
  t.equal(await ours.ended(), 'fin')
  t.equal((await theirs.answer()).status, 101)
  t.equal((await theirs.close()).code, 1001)
  theirs.sendClose(1001)
  for (const socket of [ours, theirs]) socket.destroy()
  await stuck.ended(6_000)
  stuck.destroy()
  await closing
  t.equal(app.hub.size, 0)
})

t.test("the app's own WebSocket routes speak what they like, the hub its own", async (t) => {
  const { address } = await host(t, {
    after: (app) => {
      app.get('/feed', { websocket: true }, () => {})
    },
  })
  const offer = (names: string) => ({ lines: [`Sec-WebSocket-Protocol: ${names}`] })
  const chosen = async (path: string, names: string) => {
    const socket = await RawSocket.upgrade(address, path, offer(names))
    socket.destroy()
    return socket.response?.headers['sec-websocket-protocol']
  }
  t.equal(await chosen('/feed', 'graphql-transport-ws, other'), 'graphql-transport-ws')
  const token = tokenFor('a')
  t.equal(await chosen(`/ws?token=${token}`, 'graphql-transport-ws'), undefined)
  t.equal(await chosen('/ws', `bearer.${token}, roomcast.v1`), 'roomcast.v1')
})

t.test('an upgrade that is refused is ended, whoever refuses it', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/plain', async () => 'plain')
  app.addHook('onRequest', async (request, reply) => {
    if (request.url.endsWith('?stop')) await reply.code(401).send('stop')
  })
  // In a context of its own, whose hooks the app's other routes do not have.
  await app.register(async (scope) => {
    await scope.register(roomcast, { jwtSecret: SECRET })
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  for (const [path, status] of [
    ['/plain', 200],
    ['/nope', 404],
    ['/ws?stop', 401],
    ['/ws', 401],
    ['/w%zz', 404],
  ] as const) {
    const { response } = await exchange({ host: '127.0.0.1', port }, upgradeRequest(path))
    t.equal(response.status, status, path)
  }
})

t.test("a token is not in the app's own request log, whatever the method", async (t) => {
  let log = ''
  const stream = new Writable({
    write(chunk, _encoding, done) {
      log += chunk
      done()
    },
  })
  const { address } = await host(t, { server: { logger: { level: 'trace', stream } } })
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    const bytes = `${method} /ws?token=SECRET123 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`
    const { response } = await exchange(address, bytes)
    t.equal(response.status, method === 'GET' ? 426 : 404, method)
  }
  t.notMatch(log, 'SECRET123')
})

t.test("the app's own routes on that path, with other methods, stay its own", async (t) => {
  const { address } = await host(t, { before: (app) => void app.post('/ws', async () => 'mine') })
  const post = 'POST /ws HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
  t.match((await exchange(address, post)).response, { status: 200, body: 'mine' })
  t.equal((await exchange(address, upgradeRequest('/ws'))).response.status, 401)
})

t.test("errors of the app's own hooks go to its own error handler", async (t) => {
  const { address } = await host(t, {
    before: (app) => {
      app.addHook('onRequest', async (request) => {
        if (request.url === '/health?no') throw Object.assign(new Error('not you'), { statusCode: 403 })
      })
      app.setErrorHandler((error: Error, _request, reply) => reply.code(418).send({ mine: error.message }))
    },
  })
  const { response } = await exchange(
    address,
    'GET /health?no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  )
  t.match(response, { status: 418, body: '{"mine":"not you"}' })
  const refused = await exchange(address, upgradeRequest('/ws'))
  t.match(refused.response, { status: 401, body: /unauthorized/ }, 'refusals stay in our words')
})

t.test('two on one server, and paths with parameters, are refused', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  const within = (app: FastifyInstance, prefix: string) =>
    app.register(async (scope) => scope.register(roomcast, { jwtSecret: SECRET }), { prefix })
  await t.rejects(async () => within(app, '/t/:tenant'), /prefix: no parameters/)
  const other = Fastify()
  t.teardown(() => other.close())
  await within(other, '/a')
  await t.rejects(async () => within(other, '/b'), /registered on this server already/)
})

t.test('an app that does not listen, or was refused, ends by itself', async (t) => {
  for (const options of [`{ jwtSecret: '${SECRET}' }`, '{}']) {
    const code = `
      import Fastify from 'fastify'
      import roomcast from './dist/src/app.js'
      const app = Fastify()
      await app.register(roomcast, ${options}).then(() => app.ready(), () => {})`
    const program = startProgram(t, process.execPath, ['--input-type=module', '-e', code])
    t.equal(await program.exited(), 0, options)
  }
})

/** Holds hooks until it is opened. */
function gate() {
  let open = () => {}
  let count = 0
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return {
    open,
    wait() {
      count++
      return opened
    },
    reached: (n: number) => pollUntil(`${n} are held`, () => count >= n),
  }
}
