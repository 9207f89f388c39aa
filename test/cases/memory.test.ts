// Cases of kind memory: what refused, broken and ended connections leave behind.
import t, { type Test } from 'tap'
import { type Client, connect } from '../support/client.ts'
import { clientChurn } from '../support/client-churn.ts'
import { connectCrowd, inBatches } from '../support/crowd.ts'
import { frame, OPCODE } from '../support/frames.ts'
import { Inspector, inspected } from '../support/inspector.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { type TcpState, tcpCount, tcpUnread } from '../support/tcp-table.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'
import { flood, floodEnv, refusedKinds, useUpLimit } from '../support/upgrade-flood.ts'

const MB = 1024 * 1024

async function serverFor(t: Test, env: Env, prefix: string[] = []): Promise<Server> {
  const server = await startServer(env, { prefix })
  t.teardown(() => server.stop())
  return server
}

const EACH = 200

t.test('B47 refused upgrades of every kind give their descriptors back', async (t) => {
  // Each kind is tried so often from one address.
  const server = await serverFor(t, floodEnv(EACH * 1.25))
  await useUpLimit(server, EACH * 1.25)
  await pollUntil('a quiet start', () => tcpCount(server.port, 'established') === 0)
  const before = server.fds()
  const givenBack = async (name: string, deadlineMs: number) => {
    await pollUntil(
      `${name}: descriptors are back, and no CLOSE-WAIT`,
      () => server.fds() <= before + 5 && tcpCount(server.port, 'close-wait') === 0,
      deadlineMs,
    ).catch((error: Error) => {
      const count = (state: TcpState) => `${tcpCount(server.port, state)} ${state}`
      throw new Error(
        `${error.message}; ${server.fds()} of ${before}, ${count('established')}, ${count('close-wait')}`,
      )
    })
  }
  for (const [name, kind] of Object.entries(refusedKinds)) {
    await flood(server, EACH, kind, (socket) => socket.destroy())
    await givenBack(name, 5_000)
    // The peer keeps its side open: the server ends it by itself.
    const sockets = await flood(server, EACH / 4, kind)
    await Promise.all(sockets.map((socket) => socket.ended(2_000)))
    await givenBack(`${name}, peers that never close`, 5_000)
    for (const socket of sockets) socket.destroy()
  }
  t.equal((await server.health()).clients, 0, 'refused ones are never counted')
  await stillServing(t, server, { open: 0 })
})

t.test('B47 upgrades that are cut or stall give their descriptors back', async (t) => {
  const server = await serverFor(t, { ...floodEnv(1), CONNECT_RATE_MAX: '0' })
  await server.health()
  const before = server.fds()
  const whole = upgradeRequest(`/ws?token=${tokenFor('a')}`)
  for (const [name, bytes, end] of [
    ['a RST behind the request', whole, (socket: RawSocket) => socket.reset()],
    ['a FIN behind the request', whole, (socket: RawSocket) => socket.finish()],
    ['a RST in the request', whole.slice(0, 60), (socket: RawSocket) => socket.reset()],
    ['a FIN in the request', whole.slice(0, 60), (socket: RawSocket) => socket.finish()],
    ['nothing', '', (socket: RawSocket) => socket.reset()],
    ['nothing, and a FIN', '', (socket: RawSocket) => socket.finish()],
    ['half a request, and then nothing', whole.slice(0, 60), () => {}],
    ['not a byte', '', () => {}],
  ] as const) {
    const sockets = await inBatches(EACH / 2, async () => {
      const socket = await RawSocket.open(server)
      if (bytes !== '') await socket.flush(bytes)
      end(socket)
      return socket
    })
    // HANDSHAKE_TIMEOUT_MS is one second, and Node looks once a second.
    await pollUntil(`${name}: descriptors are back`, () => server.fds() <= before + 5, 5_000)
    await clientsAre(server, 0)
    for (const socket of sockets) socket.destroy()
  }
  await stillServing(t, server, { open: 0 })
})

t.test('B47 the same while the server shuts down', async (t) => {
  const server = await serverFor(t, { CONNECT_RATE_MAX: '0', SHUTDOWN_GRACE_MS: '8000' })
  const deaf = await connect(server, 'deaf', {}, { answerClose: false })
  // A stubborn client holds the server for CLOSE_TIMEOUT only, one behind a full outbox for the whole grace.
  const stalled = await connect(server, 'stalled')
  await stalled.join('r')
  await deaf.join('r')
  stalled.socket.pause()
  for (let i = 0; i < 12; i++) await deaf.publish('r', 'x'.repeat(450_000))
  const before = server.fds()
  server.signal('SIGTERM')
  await server.log('it is stopping', ({ msg }) => msg === 'draining')
  const kind = { bytes: () => upgradeRequest(`/ws?token=${tokenFor('a')}`), statuses: [503] }
  await flood(server, EACH, kind, (socket) => socket.destroy())
  await pollUntil('descriptors are back', () => server.fds() <= before + 5)
  const sockets = await flood(server, EACH / 4, kind)
  await Promise.all(sockets.map((socket) => socket.ended(2_000)))
  await pollUntil('descriptors are back, peers that never close', () => server.fds() <= before + 5)
  t.equal(tcpCount(server.port, 'close-wait'), 0)
  t.ok(server.alive, 'all that while it was draining')
  for (const { socket } of [deaf, stalled]) socket.destroy()
  for (const socket of sockets) socket.destroy()
  t.equal((await server.exited()).code, 0)
})

t.test('B47 with 256 descriptors a flood is survived, and the next good one is served', async (t) => {
  const limited = ['sh', '-c', 'ulimit -n 256 && exec "$@"', 'sh']
  const server = await serverFor(t, { CONNECT_RATE_MAX: '0', HANDSHAKE_TIMEOUT_MS: '1000' }, limited)
  const first = await connect(server, 'first')
  await first.join('r')
  // More than it has descriptors for, and they keep their side open.
  const silent = await inBatches(300, () => RawSocket.open(server), 300)
  await first.fence()
  const kind = { bytes: () => upgradeRequest('/ws?token=bad'), statuses: [401] }
  for (const socket of silent) socket.destroy()
  await flood(server, 600, kind, (socket) => socket.destroy())
  t.equal((await server.health()).code, 200)
  await stillServing(t, server, { bystander: first, open: 1 })
  await first.close()
})

t.test('2,000 connects and disconnects of every kind leave nothing behind', (t) => clientChurn(t, 2_000, 200))

t.test('B05 what unfinished messages hold is bounded and given back', async (t) => {
  const server = await serverFor(t, { CONNECT_RATE_MAX: '0', MESSAGE_RATE: '0', ...inspected })
  const inspector = await Inspector.open(server)
  t.teardown(() => inspector.close())
  const inUse = async () => {
    const { heapUsed, external } = await inspector.memory()
    return heapUsed + external
  }
  const warm = await connectCrowd(server, 50)
  for (const { socket } of warm) socket.destroy()
  const talker = await connect(server, 'talker')
  await clientsAre(server, 1)
  const before = await inUse()

  const hold = async (name: string, bytes: Buffer, bound: number) => {
    const clients: Client[] = await connectCrowd(server, 50)
    await Promise.all(clients.map(({ socket }) => socket.flush(bytes)))
    await pollUntil(`${name}: all is read`, () => tcpUnread(server.port) === 0)
    // The last thing that all of them get: who is written to last must not be kept until the next write.
    await talker.publish(undefined, 'to all')
    const held = (await inUse()) - before
    t.ok(held < bound, `${name}: ${(held / MB).toFixed(1)} MB, less than ${bound / MB}`)
    for (const { socket } of clients) socket.destroy()
    await clientsAre(server, 1)
    await pollUntil(`${name}: given back`, async () => (await inUse()) - before < 2 * MB)
  }
  const head = frame(OPCODE.text, 'a', { fin: false })
  const byte = frame(OPCODE.continuation, 'a', { fin: false })
  await hold('2,000 fragments of one byte', Buffer.concat([head, ...Array(2_000).fill(byte)]), 48 * MB)
  const large = frame(OPCODE.continuation, 'x'.repeat(50_000), { fin: false })
  await hold('500 KB in ten fragments', Buffer.concat([head, ...Array(10).fill(large)]), 50 * MB)
  const cut = frame(OPCODE.text, 'x'.repeat(524_288))
  await hold('all but the last byte of one frame', cut.subarray(0, cut.length - 1), 50 * MB)
  talker.socket.destroy()
})
