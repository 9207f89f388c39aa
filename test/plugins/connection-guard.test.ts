// Connections that send no request, from many addresses of the loopback.
import t, { type Test } from 'tap'
import { API_SECRET, callApi } from '../support/api.ts'
import { connect } from '../support/client.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

/** Ten for each address. */
const FORTY: Env = { MAX_WAITING_CONNECTIONS: '40', HANDSHAKE_TIMEOUT_MS: '60000', CONNECT_RATE_MAX: '0' }

async function serverFor(t: Test, env: Env): Promise<Server> {
  const server = await startServer({ ...FORTY, ...env })
  t.teardown(() => server.stop())
  return server
}

/** So many connections of one address, `head` sent on each. */
async function openMany(server: Server, from: string, count: number, head = ''): Promise<RawSocket[]> {
  const sockets: RawSocket[] = []
  for (let n = 0; n < count; n++) {
    const socket = await RawSocket.open(server, { tcp: { localAddress: from } })
    if (head !== '') socket.write(head)
    sockets.push(socket)
  }
  return sockets
}

const open = (sockets: RawSocket[]) => sockets.filter(({ end }) => end === undefined).length

async function openAre(sockets: RawSocket[], count: number): Promise<void> {
  await pollUntil(`${count} are left of ${sockets.length}`, () => open(sockets) === count)
}

t.test('one address keeps a quarter of the connections without a request, the newest', async (t) => {
  const server = await serverFor(t, {})
  const halfOpen = await openMany(server, '127.0.0.2', 30, 'GET /ws HTTP/1.1\r\nHost: a\r\n')
  await openAre(halfOpen, 10)
  t.equal(open(halfOpen.slice(20)), 10, 'the oldest were cut')
  await server.log('it is said', ({ msg }) => msg === 'connections without a request were cut')
  const silent = await openMany(server, '127.0.0.3', 15)
  await openAre(silent, 10)
  const client = await connect(server, 'a', {}, { tcp: { localAddress: '127.0.0.2' } })
  const fds = server.fds()
  const kept = await openMany(server, '127.0.0.4', 30, 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')
  await openAre(kept, 10)
  t.equal(server.fds() - fds, 10, 'and their descriptors are given back')
  await client.fence()
  t.equal(open(halfOpen) + open(silent), 20, 'others have lost nothing')
  for (const socket of [...halfOpen, ...silent, ...kept]) socket.destroy()
  await client.close()
})

t.test('many addresses together keep no more than all may, and a client still gets in', async (t) => {
  const server = await serverFor(t, {})
  const all: RawSocket[] = []
  for (let host = 2; host < 22; host++) all.push(...(await openMany(server, `127.0.1.${host}`, 10)))
  await openAre(all, 40)
  const client = await connect(server, 'a')
  await client.fence()
  for (const socket of all) socket.destroy()
  await client.close()
})

t.test('a crowd of one address that sends its upgrades is let in whole', async (t) => {
  const server = await serverFor(t, {})
  const upgrade = upgradeRequest(`/ws?token=${tokenFor('a')}`)
  const connectOne = async () => {
    const socket = await RawSocket.open(server)
    socket.write(upgrade)
    t.equal((await socket.answer()).status, 101)
    return socket
  }
  const sockets = await Promise.all(Array.from({ length: 100 }, connectOne))
  await clientsAre(server, 100)
  for (const socket of sockets) socket.destroy()
})

t.test('a client whose upgrade came right behind another request is no connection that waits', async (t) => {
  const server = await serverFor(t, {})
  const health = 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n'
  const client = await RawSocket.open(server, { tcp: { localAddress: '127.0.0.2' } })
  client.write(`${health}${health}${upgradeRequest(`/ws?token=${tokenFor('a')}`)}`)
  await clientsAre(server, 1)
  const silent = await openMany(server, '127.0.0.2', 15)
  await openAre(silent, 10)
  t.equal(client.end, undefined, 'it is not cut as the oldest of its address')
  for (const socket of [client, ...silent]) socket.destroy()
})

t.test('an answer that nobody takes keeps no connection, whatever is asked behind it', async (t) => {
  const server = await serverFor(t, { API_KEYS: `all:${API_SECRET}`, HISTORY_MAX_BYTES: '33554432' })
  const body = { content: 'x'.repeat(500_000) }
  // More than the kernel takes for a peer that does not read.
  for (let n = 0; n < 28; n++) await callApi(server, { path: '/rooms/r/messages', body })
  const fds = server.fds()
  const sockets: RawSocket[] = []
  for (let n = 0; n < 20; n++) {
    const socket = await RawSocket.open(server, { tcp: { localAddress: '127.0.0.2' } })
    socket.tcp.pause()
    socket.write(
      `GET /api/v1/rooms/r/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${API_SECRET}\r\n\r\n`,
    )
    socket.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n')
    sockets.push(socket)
  }
  // Those that came before it are accepted by then.
  await pollUntil('it answers', () => server.health().then(Boolean, () => false), 30_000)
  await pollUntil('ten are left', () => server.fds() - fds <= 10)
  for (const socket of sockets) socket.destroy()
})

t.test("a trusted proxy's connections are left alone", async (t) => {
  const server = await serverFor(t, { TRUST_PROXY: '127.0.0.5, 127.0.8.0/24' })
  const ofProxies = [
    ...(await openMany(server, '127.0.0.5', 50)),
    ...(await openMany(server, '127.0.8.9', 50)),
  ]
  const others = await openMany(server, '127.0.0.6', 15)
  await openAre(others, 10)
  t.equal(open(ofProxies), 100)
  for (const socket of [...ofProxies, ...others]) socket.destroy()
})

t.test('without a limit all stay', async (t) => {
  const server = await serverFor(t, { MAX_WAITING_CONNECTIONS: '0' })
  const sockets = await openMany(server, '127.0.0.2', 60)
  t.equal((await server.health()).code, 200)
  t.equal(open(sockets), 60)
  for (const socket of sockets) socket.destroy()
})
