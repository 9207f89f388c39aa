// Cases of kind backpressure, the halves of one node, and "Slow clients" of the hub's issue.
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { type Client, connect } from '../support/client.ts'
import { connectCrowd, Reader } from '../support/crowd.ts'
import { OPCODE, textFrame } from '../support/frames.ts'
import { Inspector, inspected, type Memory } from '../support/inspector.ts'
import { BUFFER_SLACK } from '../support/memory-slack.ts'
import { Network } from '../support/network.ts'
import type { Address } from '../support/raw-socket.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { slowRoom } from '../support/slow-room.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { pace, pollUntil } from '../support/until.ts'

const KB = 1024
const MB = 1024 * KB

async function serverFor(t: Test, env: Env): Promise<Server> {
  const server = await startServer({ MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0', ...env })
  t.teardown(() => server.stop())
  return server
}

for (const [name, policy, broadcast] of [
  ['drop', 'drop', false],
  ['disconnect', 'disconnect', false],
  ['disconnect, as broadcast', 'disconnect', true],
] as const) {
  t.test(`B23 three members stop reading, nobody else notices (${name})`, (t) =>
    slowRoom(t, { policy, broadcast, healthy: 27, messages: 70, everyMs: 20, fill: 120, withinMs: 1_000 }),
  )
}

/** Publishes 10 KB to r until `done`; resolves with how many. */
async function publishUntil(sender: Client, done: (sent: number) => Promise<boolean> | boolean) {
  const pad = 'x'.repeat(10 * KB)
  for (let seq = 0; ; seq++) {
    if (await done(seq)) return seq
    if (seq > 5_000) throw new Error('50 MB did not do it')
    await sender.publish('r', { seq, sentAtMs: performance.now(), pad })
  }
}

t.test(
  'disconnect: a slow client is gone at once, gets 1013 if it reads, and is destroyed if not',
  async (t) => {
    const server = await serverFor(t, { SLOW_CLIENT: 'disconnect', OUTBOX_MAX_BYTES: String(64 * KB) })
    const a = await connect(server, 'a')
    await a.join('r')
    for (const reads of [true, false]) {
      const slow = await connect(server, 'slow')
      const reader = new Reader(slow, 'r')
      await slow.join('r')
      await slow.join('its own')
      slow.socket.pause()
      const sent = await publishUntil(a, async () => (await server.health()).clients === 1)
      const goneMs = performance.now()
      const fds = server.fds()
      t.equal((await server.health()).rooms, 1, 'it has left its rooms by then')
      if (reads) {
        slow.socket.resume()
        const { code, reason } = await slow.closed()
        t.equal(code, 1013)
        t.match(reason, /slow/)
        await slow.socket.ended(3_000)
      } else {
        await pollUntil('the descriptor is given back', () => server.fds() < fds, 2_500)
        t.ok(performance.now() - goneMs < 2_250, 'destroyed within 2 s though it never reads')
        slow.socket.resume()
        await slow.socket.ended(3_000)
      }
      t.ok(reader.seqs.length > 0 && reader.seqs.length < sent, 'it got the first ones')
      t.ok(
        reader.seqs.every((seq, i) => seq === i),
        'in order and without a hole up to its end',
      )
      slow.socket.destroy()
    }
    await stillServing(t, server, { bystander: a, open: 1 })
  },
)

t.test('drop: replies are never dropped, and what is dropped is told when it reads again', async (t) => {
  const server = await serverFor(t, { SLOW_CLIENT: 'drop', OUTBOX_MAX_BYTES: String(64 * KB) })
  const [a, slow] = [await connect(server, 'a'), await connect(server, 'slow')]
  await a.join('r')
  await slow.join('r')
  await slow.join('s')
  await a.join('s')
  slow.socket.pause()
  const reader = new Reader(slow, 'r')
  const sent = await publishUntil(a, (seq) => seq === 700)
  // Small ones, up to the brim, to a second room.
  const small = 5_000
  const last = Array.from({ length: small }, (_, i) =>
    textFrame(`{"type":"message","room":"s","content":${i}}`),
  )
  a.socket.write(Buffer.concat(last))
  await a.fence()
  t.equal((await server.health()).clients, 2, 'it stays')

  const before = slow.received.length
  for (let i = 0; i < 20; i++) slow.send({ type: 'ping', id: i })
  slow.send({ type: 'join', room: 'late', id: 'joined' })
  slow.send({ type: 'message', room: 'late', content: 'own', id: 'acked' })
  slow.send({ type: 'leave', room: 's', id: 'left' })
  slow.send('no JSON')
  await pollUntil('its requests are carried out', async () => {
    const { clients, rooms } = await server.health()
    return clients < 2 || rooms === 3
  })
  t.equal((await server.health()).clients, 2, 'replies behind a full outbox do not end it')
  a.say('s', 'after it left')
  await a.fence()
  slow.socket.resume()
  await slow.fence(10_000)
  // The fence may have been answered while it was still behind; the notices come when it no longer is.
  await pollUntil('it is told', () => reader.dropped.has('r') && reader.dropped.has('s'))

  const got = slow.received.slice(before)
  const replies = got.filter(
    ({ type, id }) => type !== 'message' && type !== 'dropped' && !String(id).startsWith('fence'),
  )
  t.same(
    replies.map(({ type, id }) => (type === 'pong' ? id : type)),
    [...Array(20).keys(), 'joined', 'ack', 'left', 'error'],
    'every reply, in order',
  )
  const received = (room: string) =>
    got.filter((envelope) => envelope.type === 'message' && envelope.room === room)
  for (const [room, count] of [
    ['r', sent],
    ['s', small],
  ] as const) {
    const dropped = reader.dropped.get(room) ?? 0
    t.ok(dropped > 0, `${room}: told of ${dropped} dropped ones`)
    // The reader takes the messages of its room for itself.
    const read = room === 'r' ? reader.seqs.length : received(room).length
    t.equal(read + dropped, count, `${room}: none is missing untold`)
  }
  t.ok(reader.isOrdered, 'order kept')
  const firstDropped = got.findIndex(({ type }) => type === 'dropped')
  const lastMessage = got.findLastIndex(({ type }) => type === 'message')
  t.ok(firstDropped > lastMessage, 'told behind what it still got')

  // It reads again, so it gets everything again.
  await a.publish('r', { seq: sent, sentAtMs: 0 })
  await reader.reads(sent)
  await stillServing(t, server, { bystander: a, open: 2 })
  for (const client of [a, slow]) await client.close()
  await clientsAre(server, 0, { rooms: 0 })
})

t.test(
  'drop: a client that asks and asks but never reads is ended or held back, and costs little',
  async (t) => {
    const server = await serverFor(t, { SLOW_CLIENT: 'drop', OUTBOX_MAX_BYTES: String(64 * KB) })
    const [a, greedy] = [await connect(server, 'a'), await connect(server, 'greedy', {}, { record: false })]
    greedy.socket.pause()
    const before = server.rss()
    // Some 12 MB in, and as much out if it were kept.
    const ping = textFrame('{"type":"ping","id":"0123456789"}')
    greedy.socket.write(Buffer.concat(Array(300_000).fill(ping)))
    let waiting = -1
    let unchanged = 0
    await pollUntil(
      'it is ended or held back',
      async () => {
        const { clients } = await server.health()
        unchanged = greedy.socket.tcp.writableLength === waiting ? unchanged + 1 : 0
        waiting = greedy.socket.tcp.writableLength
        return clients === 1 || unchanged > 30
      },
      10_000,
    )
    const growth = server.rss() - before
    t.ok(growth < 48 * MB + BUFFER_SLACK, `RSS grew by ${Math.round(growth / MB)} MB`)
    greedy.socket.destroy()
    await stillServing(t, server, { open: 1 })
    await a.close()
  },
)

t.test('a burst of one turn is no slowness, however small the outbox', async (t) => {
  const server = await serverFor(t, { SLOW_CLIENT: 'disconnect', OUTBOX_MAX_BYTES: '1024' })
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  await a.join('r')
  await b.join('r')
  a.socket.write(
    Buffer.concat(Array.from({ length: 500 }, (_, id) => textFrame(`{"type":"ping","id":${id}}`))),
  )
  await a.next(({ id }) => id === 499)
  a.socket.write(
    Buffer.concat(
      Array.from({ length: 500 }, (_, i) => textFrame(`{"type":"message","room":"r","content":${i}}`)),
    ),
  )
  await b.next(({ content }) => content === 499)
  t.equal(b.received.filter(({ type }) => type === 'message').length, 500)
  const large = 'x'.repeat(500_000)
  for (let i = 0; i < 5; i++) {
    a.say('r', large)
    t.equal((await b.next('message')).content, large, 'a message larger than the outbox')
  }
  t.equal((await server.health()).clients, 2)
  for (const client of [a, b]) await client.close()
})

/** Samples RSS every 100 ms; `stop` gives the largest. */
function watchRss(server: Server) {
  let most = server.rss()
  const timer = setInterval(() => {
    if (server.alive) most = Math.max(most, server.rss())
  }, 100)
  return {
    stop() {
      clearInterval(timer)
      return Math.max(most, server.rss())
    },
  }
}

const inUse = ({ heapUsed, external }: Memory) => heapUsed + external

/** What is in use once it is less than `bound`, or after a while: buffers are given back some time after they are free. */
async function usedBelow(inspector: Inspector, bound: number): Promise<number> {
  for (let looks = 1; ; looks++) {
    const used = inUse(await inspector.memory())
    if (used < bound || looks === 20) return used
    await pace(100)
  }
}

for (const [name, policy, messages, bytes] of [
  ['500 KB each, drop', 'drop', 30, 500 * KB],
  ['500 KB each, disconnect', 'disconnect', 10, 500 * KB],
  ['40 bytes each, drop', 'drop', 10_000, 40],
] as const) {
  t.test(`B24 a hundred members that never read cost what the limit says (${name})`, async (t) => {
    const limit = 1 * KB
    const stalledCount = 100
    const server = await serverFor(t, {
      SLOW_CLIENT: policy,
      OUTBOX_MAX_BYTES: String(limit),
      HISTORY_SIZE: '0',
      ...inspected,
    })
    const inspector = await Inspector.open(server)
    t.teardown(() => inspector.close())
    const a = await connect(server, 'a')
    await a.join('r')
    // Once before, so that the growth measured is not that of a fresh process.
    const reading = await connect(server, 'reading')
    await reading.join('r')
    for (let i = 0; i < 3; i++) await a.publish('r', 'x'.repeat(500 * KB))
    await reading.close()

    const before = await inspector.memory()
    const stalled = await connectCrowd(server, stalledCount, ['r'])
    for (const { socket } of stalled) socket.pause()
    const rssBefore = server.rss()
    const watch = watchRss(server)
    const frame = textFrame(`{"type":"message","room":"r","content":"${'x'.repeat(bytes)}"}`)
    const atOnce = Math.max(1, Math.floor((64 * KB) / frame.length))
    for (let sent = 0; sent < messages; sent += atOnce) {
      await a.socket.flush(Buffer.concat(Array(Math.min(atOnce, messages - sent)).fill(frame)))
      await a.fence(10_000)
    }
    const growth = watch.stop() - rssBefore
    const bound = stalledCount * (limit + bytes) + 64 * MB
    t.ok(growth <= bound, `RSS grew by ${Math.round(growth / MB)} MB, at most ${Math.round(bound / MB)}`)
    const shared = stalledCount * (limit + 16 * KB) + 8 * bytes + 4 * MB
    const kept = (await usedBelow(inspector, inUse(before) + shared)) - inUse(before)
    t.ok(kept < shared, `what waits is shared by the members: ${Math.round(kept / KB)} KB are in use`)
    if (policy === 'drop') t.equal((await server.health()).clients, stalledCount + 1, 'all stay')
    for (const { socket } of stalled) socket.reset()
    await clientsAre(server, 1, { rooms: 1, deadlineMs: 5_000 })
    const after = await usedBelow(inspector, inUse(before) * 1.2)
    t.ok(
      after < inUse(before) * 1.2,
      `given back when they are gone: ${Math.round(inUse(before) / KB)} KB before, ${Math.round(after / KB)} KB after`,
    )
    await a.close()
  })
}

/** One large message each way between a client on a slow link and one on a good link. */
async function exchangeLarge(t: Test, slow: Client, good: Client, deadlineMs: number): Promise<void> {
  const large = 'x'.repeat(500_000)
  let pings = 0
  const onFrame = slow.socket.onFrame
  slow.socket.onFrame = (frame) => {
    if (frame.opcode === OPCODE.ping) pings++
    onFrame?.(frame)
  }
  for (const [from, to, what] of [
    [good, slow, 'downloads'],
    [slow, good, 'uploads'],
  ] as const) {
    const startMs = performance.now()
    from.say('r', large)
    t.equal((await to.next('message', deadlineMs)).content, large, `the slow one ${what} it whole`)
    t.comment(`${what} for ${Math.round(performance.now() - startMs)} ms`)
    await slow.fence(deadlineMs)
  }
  t.ok(pings > 0, 'it was pinged all the while')
  t.equal(slow.socket.end, undefined, 'and is still there')
}

const network = Network.open()
t.teardown(() => network?.close())

async function onSlowLink(t: Test): Promise<void> {
  if (network === undefined) return
  // The case's 64 kbit/s and 10 s (and the default 20 s for the pong), 16 times as fast.
  const env = { HOST: '0.0.0.0', PING_INTERVAL_MS: '625', PONG_TIMEOUT_MS: '1250', MESSAGE_RATE: '0' }
  const server = await startServer(env, { prefix: network.prefix, host: network.cuttable })
  t.teardown(() => server.stop())
  network.throttle('1mbit')
  const slow = await connect(server, 'slow')
  const good = await connect({ host: network.steady, port: server.port, tls: server.tls }, 'good')
  await slow.join('r')
  await good.join('r')
  await exchangeLarge(t, slow, good, 20_000)
  for (const client of [slow, good]) await client.close()
}

/** A link with a delay each way, and now and then a pause of a round trip, as lost packets make it. */
async function delayingRelay(t: Test, to: Address, delayMs: number): Promise<Address> {
  const sockets = new Set<Socket>()
  let count = 0
  const carry = (from: Socket, onto: Socket) => {
    let freeAtMs = 0
    from.on('data', (chunk) => {
      const lost = ++count % 20 === 0 ? 2 * delayMs : 0
      freeAtMs = Math.max(freeAtMs, performance.now() + delayMs + lost)
      setTimeout(() => onto.destroyed || onto.write(chunk), freeAtMs - performance.now())
    })
    from.on('error', () => onto.destroy()).on('close', () => onto.destroy())
    sockets.add(from)
  }
  const relay = createServer((near) => {
    const far = connectTcp({ host: to.host, port: to.port })
    carry(near, far)
    carry(far, near)
  })
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    relay.close()
    for (const socket of sockets) socket.destroy()
  })
  return { ...to, host: '127.0.0.1', port: (relay.address() as AddressInfo).port }
}

async function onLongLink(t: Test): Promise<void> {
  // 2,000 ms and 10 s of the case, eight times as fast.
  const server = await serverFor(t, { PING_INTERVAL_MS: '400', PONG_TIMEOUT_MS: '800' })
  const relay = await delayingRelay(t, { host: server.host, port: server.port, tls: server.tls }, 125)
  const [far, near] = [await connect(relay, 'far'), await connect(server, 'near')]
  await far.join('r')
  await near.join('r')
  for (let i = 0; i < 8; i++) {
    near.say('r', i)
    const { content } = await far.next('message')
    far.say('r', content)
    t.equal((await near.next('message')).content, i)
  }
  t.equal((await server.health()).clients, 2)
  for (const client of [far, near]) client.socket.destroy()
  await clientsAre(server, 0)
}

t.test('B26 liveness on bad links', async (t) => {
  // Both wait for their links most of the time, so they may do it together.
  t.jobs = 2
  await Promise.all([
    t.test(
      'B26 a large message on a slow link does not count as silence, in either direction',
      { buffered: true, skip: network ? false : 'needs root and iproute2 for a network namespace' },
      onSlowLink,
    ),
    t.test('B26 a long round trip with losses is no silence', { buffered: true }, onLongLink),
  ])
})
