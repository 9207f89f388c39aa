// B17, B19 and B21 with the numbers and times of the cases, on default settings where they allow it.
import t from 'tap'
import { type Client, connect } from '../support/client.ts'
import { frame, hex, OPCODE } from '../support/frames.ts'
import { Network } from '../support/network.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pace } from '../support/until.ts'

const MINUTE_MS = 60_000
// The defaults of PING_INTERVAL_MS and PONG_TIMEOUT_MS.
const GONE_MS = 25_000 + 20_000 + 1_000

const skip = Network.isAllowed() ? false : 'needs root and iproute2'

t.jobs = 4

t.test('B17 2,000 connections at 200 a second, each joins as it opens', { buffered: true }, async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const token = tokenFor('a')
  const one = async (index: number) => {
    const socket = await RawSocket.open(server)
    socket.write(upgradeRequest(`/ws?token=${token}`))
    await socket.answer()
    socket.sendText(`{"type":"join","room":"r-${index % 50}"}`)
    await socket.frame('joined', ({ payload }) => payload.includes('"joined"'))
    socket.sendText('{"type":"ping"}')
    await socket.frame('pong', ({ payload }) => payload.includes('"pong"'))
    const joined = socket.frames.filter(({ payload }) => payload.includes('"joined"')).length
    socket.destroy()
    return joined
  }
  const startMs = performance.now()
  const all: Promise<number>[] = []
  for (let i = 0; i < 2_000; i++) {
    all.push(one(i))
    await pace(Math.max(0, startMs + i * 5 - performance.now()))
  }
  const counts = await Promise.all(all)
  t.equal(counts.filter((count) => count === 1).length, 2_000, 'exactly one joined each')
  await clientsAre(server, 0, { rooms: 0 })
})

t.test('B19 5,000 rounds of a Close and a message at the same moment', { buffered: true }, async (t) => {
  const server = await startServer({ CONNECT_RATE_MAX: '0', MESSAGE_RATE: '0' })
  t.teardown(() => server.stop())
  const b = await connect(server, 'b')
  await b.join('r')
  const token = tokenFor('a')
  const goings: ((a: Client) => void)[] = [
    (a) => a.socket.sendClose(1000),
    (a) => a.socket.reset(),
    (a) => a.socket.finish(),
    (a) => a.socket.destroy(),
  ]
  for (let round = 0; round < 5_000; round++) {
    const a = await connect(server, 'a', {}, { token })
    await a.join('r')
    if (round % 2) b.say('r', round)
    goings[round % goings.length]?.(a)
    if (!(round % 2)) b.say('r', round)
    if (round % 100 === 99) await b.fence()
  }
  await stillServing(t, server, { bystander: b, open: 1 })
  t.same(
    server.logs.filter(({ level }) => Number(level) >= 40),
    [],
    'no warning and no error',
  )
  await b.close()
})

t.test('B21 (d) a peer that only answers pings stays for 10 minutes', { buffered: true }, async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('a')}`)
  const deaf = await RawSocket.upgrade(server, `/ws?token=${tokenFor('a')}`, { pong: false })
  const startMs = performance.now()
  const isPing = ({ opcode }: { opcode: number }) => opcode === OPCODE.ping
  await deaf.ended(GONE_MS)
  t.ok(performance.now() - startMs > 25_000, 'one that does not answer is gone after a ping and its time-out')
  await pace(10 * MINUTE_MS - (performance.now() - startMs))
  const pings = socket.frames.filter(isPing).length
  t.ok(pings >= 20 && pings <= 25, `${pings} pings in 10 minutes`)
  t.equal(socket.end, undefined)
  t.equal(socket.frames.length, pings + 1, 'the welcome and pings, nothing else')
  await clientsAre(server, 1)
  socket.destroy()
})

t.test('B21 (a, b, f) a cut link, with the default times', { buffered: true, skip }, async (t) => {
  const network = Network.open()
  if (!network) throw new Error('no network namespace')
  t.teardown(() => network.close())
  const server = await startServer({ HOST: '0.0.0.0' }, { prefix: network.prefix, host: network.steady })
  t.teardown(() => server.stop())
  const b = await connect(server, 'b')
  await b.join('busy')
  const beyond = { host: network.cuttable, port: server.port }
  const peers: Client[] = []
  for (let i = 0; i < 200; i++) {
    const peer = await connect(beyond, `u${i}`)
    await peer.join(i % 2 ? 'busy' : `idle-${i}`)
    peers.push(peer)
  }
  network.cut()
  const gone = clientsAre(server, 1, { rooms: 1, deadlineMs: GONE_MS })
  let slowestMs = 0
  let error: unknown = 'waiting'
  const settled = gone.then(
    () => {
      error = undefined
    },
    (reason: unknown) => {
      error = reason
    },
  )
  while (error === 'waiting') {
    const startMs = performance.now()
    b.say('busy', 'x'.repeat(1_000))
    await b.fence()
    slowestMs = Math.max(slowestMs, performance.now() - startMs)
    await pace(1_000)
  }
  await settled
  t.equal(error, undefined, 'all are gone within ping interval + pong timeout + 1 s')
  t.ok(slowestMs < 250, `others wait less than 250 ms (${Math.round(slowestMs)} ms)`)
  for (const peer of peers) peer.socket.destroy()
  await b.close()
})

t.test('B21 a peer in the middle of a slow frame is alive', { buffered: true }, async (t) => {
  const server = await startServer({ PING_INTERVAL_MS: '1000', PONG_TIMEOUT_MS: '1000' })
  t.teardown(() => server.stop())
  const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('a')}`, { pong: false })
  socket.write(hex('81fe ea60 00000000'))
  for (let i = 0; i < 60; i++) {
    socket.write('a')
    await pace(500)
  }
  t.equal(socket.end, undefined, 'bytes of a frame are life too')
  await clientsAre(server, 1)
  socket.write(Buffer.alloc(60_000 - 60, 'a'))
  await socket.frame('a reply', ({ payload }) => payload.includes('bad_envelope'))
  socket.write(frame(OPCODE.ping))
  socket.destroy()
  await clientsAre(server, 0)
})
