// Requests that are sent behind one that stays open, and a peer that goes while it is waited for.
import { createServer } from 'node:http'
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import roomcast, { type RoomcastOptions } from '../../src/app.ts'
import { upgradeRequest } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { SECRET, tokenFor } from '../support/token.ts'
import { Notifier, pollUntil } from '../support/until.ts'

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
const stream = () => get(`/sse?room=a&token=${tokenFor('reader')}`)

/** A connection that has sent `text`, and what it got so far. */
function open(t: Test, port: number, text: string) {
  const events = new Notifier()
  const socket = connectTcp(port, '127.0.0.1')
  const peer = { socket, got: '', isClosed: false, events }
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.on('data', (data) => {
    peer.got += data
    events.notify()
  })
  socket.on('close', () => {
    peer.isClosed = true
    events.notify()
  })
  socket.write(text)
  return peer
}

async function serve(t: Test, options: RoomcastOptions) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(roomcast, { jwtSecret: SECRET, ...options })
  await app.listen({ host: '127.0.0.1', port: 0 })
  return { app, port: (app.server.address() as AddressInfo).port }
}

t.test('who sends many requests behind an open stream is cut, and leaves nothing behind', async (t) => {
  const { app, port } = await serve(t, {})
  const few = open(t, port, stream())
  await few.events.until('a welcome', () => few.got.includes('welcome'))
  few.socket.write(get('/health').repeat(16))
  const many = open(t, port, stream() + get('/health').repeat(2000))
  await many.events.until('it is cut', () => many.isClosed)
  await pollUntil('it is no client', () => app.hub.size === 1)
  await app.hub.publish('a', 'still here')
  await few.events.until('who sent a few reads on', () => few.got.includes('still here'))
  few.socket.write(get('/'))
  await few.events.until('one more is too many', () => few.isClosed)
  await pollUntil('it is gone at once', () => app.hub.size === 0)
})

t.test("a host's own requests may be pipelined", async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.get('/own', async () => 'of the host')
  await app.register(roomcast, { jwtSecret: SECRET })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const peer = open(t, port, get('/own').repeat(200))
  await peer.events.until('all answers', () => peer.got.split('of the host').length === 201)
})

t.test('no stream of requests behind one that waits for a key fills the memory', async (t) => {
  const issuer = createServer(() => {})
  t.teardown(() => issuer.closeAllConnections())
  t.teardown(() => issuer.close())
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`
  const server = await startServer({
    JWT_ISSUERS: url,
    JWT_AUDIENCE: 'a',
    JWT_SECRET: '',
    CONNECT_RATE_MAX: '0',
    NODE_OPTIONS: '--max-old-space-size=256',
  })
  t.teardown(() => server.stop())
  const behind = get('/health').repeat(2000)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  let cut = 0
  for (let round = 0; round < 6; round++) {
    const peers = Array.from({ length: 20 }, (_, n) => {
      const header = part({ alg: 'RS256', kid: `${round}-${n}` })
      const token = `${header}.${part({ iss: url, aud: 'a', sub: 'u', exp: 2e9 })}.${'A'.repeat(342)}`
      return open(t, server.port, get(`/sse?room=a&token=${token}`) + behind)
    })
    for (const peer of peers) {
      await peer.events.until('it is cut', () => peer.isClosed)
      if (!peer.got.startsWith('HTTP/1.1 5')) cut++
    }
  }
  t.ok(cut > 0, `${cut} of 200 waited for a key when they were cut`)
  t.equal((await server.health()).clients, 0, 'the server is there')
})

t.test('a connect hook is given up when the peer of an upgrade or a stream has gone', async (t) => {
  const asked: AbortSignal[] = []
  const { port } = await serve(t, {
    hooks: {
      connect: ({ signal }) => {
        asked.push(signal)
        return new Promise<undefined>(() => {})
      },
    },
  })
  const peers: Socket[] = []
  for (const text of [upgradeRequest(`/ws?token=${tokenFor('a')}`), stream()]) {
    peers.push(open(t, port, text).socket)
    await pollUntil('it is asked', () => asked.length === peers.length)
  }
  peers.forEach((peer, n) => {
    t.notOk(asked[n]?.aborted)
    peer.end()
  })
  await pollUntil('both are given up', () => asked.every((signal) => signal.aborted))
})
