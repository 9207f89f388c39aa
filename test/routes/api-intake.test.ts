// What comes in by the HTTP API is bounded: in memory, and in the time that it takes from others.
import Fastify from 'fastify'
import t from 'tap'
import roomcast from '../../src/app.ts'
import { API_SECRET, callApi } from '../support/api.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { SECRET, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const API_KEYS = `all:${API_SECRET}`
const BODY_BYTES = 1024 * 1024

/** The head of a request whose body is long, and never comes whole. */
function headOf(method: string, path: string, secret = ''): string {
  const lines = [`${method} /api/v1${path} HTTP/1.1`, 'Host: x', 'Content-Type: application/json']
  if (secret !== '') lines.push(`Authorization: Bearer ${secret}`)
  return `${[...lines, `Content-Length: ${BODY_BYTES}`].join('\r\n')}\r\n\r\n{"content":`
}

t.test('a body for what is not there is not waited for, whoever sends it', async (t) => {
  const server = await startServer({ API_KEYS, HANDSHAKE_TIMEOUT_MS: '60000' })
  t.teardown(() => server.stop())
  for (const [method, path, status] of [
    ['POST', '/nowhere', 404],
    ['PUT', '/messages', 405],
    ['POST', '/openapi.json', 405],
  ] as const) {
    const socket = await RawSocket.open(server)
    socket.write(headOf(method, path))
    t.match(await socket.answer(), { status, headers: { connection: 'close' } }, `${method} ${path}`)
    socket.destroy()
  }
})

t.test('one user’s bodies take a bounded part of the memory, and others’ still come in', async (t) => {
  const server = await startServer({ API_KEYS, HANDSHAKE_TIMEOUT_MS: '60000' })
  t.teardown(() => server.stop())
  const secret = tokenFor('mallory', { can: {} })
  const sockets: RawSocket[] = []
  for (let count = 0; count < 8; count++) {
    const socket = await RawSocket.open(server)
    socket.write(headOf('POST', '/messages', secret))
    sockets.push(socket)
  }
  // They are on their way: an answer to a later request says that they are read.
  await server.health()
  const more = await RawSocket.open(server)
  more.write(headOf('POST', '/messages', secret))
  t.match(await more.answer(), { status: 503, headers: { 'retry-after': '1', connection: 'close' } })
  const message = { path: '/rooms/r/messages', body: { content: 1 } }
  t.equal((await callApi(server, { ...message, secret: tokenFor('ada') })).status, 200)
  t.equal((await callApi(server, message)).status, 200)

  for (const socket of [...sockets, more]) socket.destroy()
  const again = { ...message, secret: tokenFor('mallory') }
  await pollUntil('what was cut counts no more', async () => (await callApi(server, again)).status === 200)
})

t.test('bodies that take long to read leave the loop to others in between', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(roomcast, { jwtSecret: SECRET, apiKeys: API_KEYS })
  await app.ready()
  const fields = Array.from({ length: 60_000 }, (_, at) => `"k${at}":0`).join()
  let turn = 0
  let isOver = false
  const count = () => {
    turn++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const turns = await Promise.all(
    Array.from({ length: 8 }, async () => {
      const { statusCode } = await app.inject({
        ...{ method: 'POST', url: '/api/v1/messages', payload: `{"content":1,${fields}}` },
        headers: {
          authorization: `Bearer ${tokenFor('mallory', { can: {} })}`,
          'content-type': 'application/json',
        },
      })
      t.equal(statusCode, 400)
      return turn
    }),
  )
  isOver = true
  t.ok(new Set(turns).size >= 4, `eight bodies in ${new Set(turns).size} turns`)
})
