// Another library that listens for the upgrades of the app's server.
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { WebSocketServer } from 'ws'
import roomcast from '../../src/app.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { SECRET, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const WARNING = /have another listener/
/** An upgrade that nobody takes is cut by then. */
const SWEPT_MS = 6_000

type Listen = (app: FastifyInstance) => void

/** An app with roomcast, a WebSocket route, a plain route, and another listener that comes before or after roomcast. */
async function sharing(t: Test, listen: Listen, isFirst: boolean) {
  let log = ''
  const write = (line: string) => {
    log += line
  }
  const app = Fastify({ logger: { level: 'warn', stream: { write } } })
  t.teardown(() => app.close())
  if (isFirst) listen(app)
  await app.register(roomcast, { jwtSecret: SECRET })
  app.get('/feed', { websocket: true }, (socket) => socket.send('feed'))
  app.get('/plain', async () => 'plain')
  if (!isFirst) listen(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const address = { host: '127.0.0.1', port: (app.server.address() as AddressInfo).port }
  return { app, address, log: () => log }
}

/** Upgrades `path`; `text()` is everything that has come, of HTTP too. */
async function opened(address: { host: string; port: number }, path: string) {
  const socket = await RawSocket.open(address)
  let text = ''
  socket.tcp.prependListener('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  socket.write(upgradeRequest(path))
  const until = (part: string) => socket.until(`${part} on ${path}`, () => text.includes(part))
  return { socket, until, text: () => text }
}

const kinds: [name: string, listen: Listen, ours: boolean, theirs: string][] = [
  [
    'a ws server for a path, which refuses the others',
    ({ server }) => greet(new WebSocketServer({ server, path: '/other' })),
    false,
    '/other',
  ],
  ['a ws server for all', ({ server }) => greet(new WebSocketServer({ server })), false, '/other'],
  [
    'one that takes its own later, as after asking for leave',
    ({ server }) => {
      const theirs = greet(new WebSocketServer({ noServer: true }))
      server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        if (request.url !== '/plain') return
        setTimeout(
          () => theirs.handleUpgrade(request, socket, head, (open) => theirs.emit('connection', open)),
          300,
        )
      })
    },
    true,
    '/plain',
  ],
  [
    'one that routes its own through Fastify, as @fastify/http-proxy',
    (app) => {
      const theirs = greet(new WebSocketServer({ noServer: true }))
      app.get('/proxied', (request, reply) => {
        reply.hijack()
        const { socket } = request.raw
        reply.raw.detachSocket(socket)
        theirs.handleUpgrade(request.raw, socket, Buffer.alloc(0), (open) => theirs.emit('connection', open))
      })
      app.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
        if (request.url !== '/proxied') return
        const response = new ServerResponse(request)
        response.assignSocket(socket as never)
        app.routing(request, response)
      })
    },
    true,
    '/proxied',
  ],
]

function greet(server: WebSocketServer): WebSocketServer {
  return server.on('connection', (socket) => socket.send('theirs'))
}

t.test('it is noticed whenever it comes, and there is one answer a socket', async (t) => {
  const cases = kinds.flatMap((kind) => [true, false].map((isFirst) => ({ kind, isFirst })))
  const opening = cases.map(async ({ kind: [name, listen, ours, theirs], isFirst }) => {
    const what = `${name}: ${isFirst ? 'first' : 'last'}`
    const { app, address, log } = await sharing(t, listen, isFirst)
    t.match(log(), WARNING, what)
    t.equal(log().split('\n').length, 2, 'once')
    const other = await opened(address, theirs)
    await other.until('theirs')
    const hub = await opened(address, `/ws?token=${tokenFor('a')}`)
    if (ours) await hub.until('"welcome"')
    else await hub.socket.until('an answer', () => hub.text() !== '')
    const feed = await opened(address, '/feed')
    await (ours ? feed.until('feed') : feed.socket.until('an answer', () => feed.text() !== ''))
    const unknown = await opened(address, '/nope')
    // Nobody takes it, so the sweep cuts it, which has then looked at those before it.
    if (ours) await unknown.socket.ended(SWEPT_MS)
    return { what, app, other, all: [other, hub, feed, unknown] }
  })
  for (const { what, app, other, all } of await Promise.all(opening)) {
    t.notOk(other.socket.end, `${what}: their socket is left open`)
    for (const { text } of all) t.ok(text().split('HTTP/1.1 ').length <= 2, 'one answer a socket')
    for (const { socket } of all) socket.destroy()
    await pollUntil('the client is gone', () => app.hub.size === 0)
  }
})

t.test('without another, nothing is said, and every upgrade is answered', async (t) => {
  const { address, log } = await sharing(t, () => {}, true)
  const answer = await RawSocket.upgrade(address, '/plain')
  t.equal(answer.response?.status, 404)
  answer.destroy()
  t.equal(log(), '')
})
