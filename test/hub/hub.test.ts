import t from 'tap'
import { Permissions } from '../../src/auth/permissions.ts'
import type { Publication, Published } from '../../src/bridge/bridge.ts'
import { MemoryBridge } from '../../src/bridge/memory-bridge.ts'
import type { Clock } from '../../src/clock.ts'
import { Hub } from '../../src/hub/hub.ts'
import { RateLimiter } from '../../src/hub/rate-limiter.ts'
import { ReadPump } from '../../src/hub/read-pump.ts'
import { MemoryPresence } from '../../src/presence/memory-presence.ts'
import { decodeFrames, FakeSocket, turnEnd } from '../support/fake-socket.ts'

const silentLog = { debug() {}, info() {}, warn() {}, error() {} }
const limits = {
  maxClients: 10,
  maxRoomsPerClient: 3,
  maxMessageBytes: 1000,
  outboxMaxBytes: 1000,
  slowClient: 'disconnect' as 'disconnect' | 'drop',
  pingIntervalMs: 1000,
  pongTimeoutMs: 500,
  historySize: 0,
  historyTtlMs: 10_000,
  historyMaxBytes: 10_000,
  historyTotalBytes: 10_000,
  revocationTtlMs: 60_000,
  jwtClockToleranceMs: 0,
}
const everything = new Permissions({ join: ['*'], publish: ['*'], broadcast: true }, 'u')

class ManualClock implements Clock {
  now = 1_000_000
  steadyMs(): number {
    return this.now
  }
  wallMs(): number {
    return this.now + 1e12
  }
}

function setUp(options: Partial<typeof limits> = {}, clock = new ManualClock(), given?: MemoryBridge) {
  const all = { ...limits, ...options }
  const bridge = given ?? new MemoryBridge(all, clock)
  const hub = new Hub({ bridge, presence: new MemoryPresence(), limits: all, log: silentLog, clock })
  t.teardown(() => hub.close())
  const connect = (expiresAt = Infinity) => {
    const socket = new FakeSocket()
    const client = hub.connect(socket, { user: 'u', permissions: everything, expiresAt })
    socket.onClose = () => client.socketClosed()
    const pump = new ReadPump(hub, client, {
      clock,
      log: silentLog,
      limits: { messageRate: 0, messageBurst: 1 },
      maxNesting: 16,
    })
    const say = (envelope: object) => pump.receive(Buffer.from(JSON.stringify(envelope)), false)
    return { socket, client, pump, say }
  }
  return { hub, clock, connect }
}

const types = (socket: FakeSocket) => decodeFrames(socket).map(({ type }) => type)

t.test('requests sent in one turn are carried out and answered in order', async (t) => {
  const { hub, connect } = setUp()
  const a = connect()
  const b = connect()
  b.say({ type: 'join', room: 'r' })
  await turnEnd()
  a.say({ type: 'join', room: 'r', id: 1 })
  a.say({ type: 'message', room: 'r', content: 1, id: 2 })
  a.say({ type: 'nonsense', id: 3 })
  a.say({ type: 'leave', room: 'r', id: 4 })
  a.say({ type: 'message', room: 'r', content: 2, id: 5 })
  a.say({ type: 'join', room: 'r', id: 6 })
  a.say({ type: 'message', room: 'r', content: 3, id: 7 })
  await turnEnd()
  t.strictSame(
    decodeFrames(a.socket)
      .slice(1)
      .map(({ type, id, code }) => [type, id, code]),
    [
      ['joined', 1, undefined],
      ['ack', 2, undefined],
      ['error', 3, 'unknown_type'],
      ['left', 4, undefined],
      ['error', 5, 'not_member'],
      ['joined', 6, undefined],
      ['ack', 7, undefined],
    ],
  )
  const received = decodeFrames(b.socket).filter(({ type }) => type === 'message')
  t.strictSame(
    received.map(({ content }) => content),
    [1, 3],
  )
  t.equal(hub.rooms.size, 1)
})

t.test('a room vanishes with its last member, however that one went', async (t) => {
  const { hub, connect } = setUp()
  const [a, b, c] = [connect(), connect(), connect()]
  for (const one of [a, b, c]) one.say({ type: 'join', room: 'r' })
  await turnEnd()
  t.equal(hub.rooms.members('r').size, 3)
  a.say({ type: 'leave', room: 'r' })
  b.client.socketClosed()
  t.equal(hub.rooms.members('r').size, 1)
  c.client.disconnect('disconnected', 'bye')
  t.equal(hub.rooms.size, 0)
  t.equal(hub.size, 1)
})

t.test('a client that goes while its join is under way leaves no room behind', async (t) => {
  const { hub, connect } = setUp()
  const a = connect()
  a.say({ type: 'join', room: 'r' })
  a.client.socketClosed()
  await turnEnd()
  t.equal(hub.rooms.size, 0)
})

/** A bridge that answers a publish when the test says so, as one over a network does. */
class LateBridge extends MemoryBridge {
  answer: () => void = () => {}
  override publish(publication: Publication): Published {
    const published = super.publish(publication)
    const later = new Promise<Published>((resolve) => {
      this.answer = () => resolve(published)
    })
    // The port allows both, the memory bridge promises one.
    return later as unknown as Published
  }
}

t.test('what waits behind an answer is not carried out for a client that has gone meanwhile', async (t) => {
  const clock = new ManualClock()
  const bridge = new LateBridge(limits, clock)
  const { hub, connect } = setUp({}, clock, bridge)
  const [a, b] = [connect(), connect()]
  for (const one of [a, b]) one.say({ type: 'join', room: 'r' })
  await turnEnd()
  b.socket.written = []
  a.say({ type: 'message', room: 'r', content: 1 })
  a.say({ type: 'join', room: 'ghost' })
  a.say({ type: 'message', content: 'to everybody' })
  a.client.disconnect('tokenExpired', 'token expired')
  bridge.answer()
  await turnEnd()
  t.same(
    decodeFrames(b.socket).map(({ content }) => content),
    [1],
  )
  b.client.socketClosed()
  t.equal(hub.rooms.size, 0)
})

t.test(
  'a client whose token has ended gets and says nothing more, also before the heartbeat looks',
  async (t) => {
    const { clock, connect } = setUp()
    const [a, b, c] = [connect(), connect(clock.wallMs() + 50), connect(clock.wallMs() + 50)]
    for (const one of [a, b, c]) one.say({ type: 'join', room: 'r' })
    await turnEnd()
    clock.now += 49
    a.say({ type: 'message', room: 'r', content: 'in time' })
    await turnEnd()
    clock.now += 1
    for (const one of [a, b, c]) one.socket.written = []
    c.say({ type: 'message', room: 'r', content: 'too late' })
    a.say({ type: 'message', room: 'r', content: 'not for b' })
    await turnEnd()
    t.same(decodeFrames(a.socket), [])
    t.same(decodeFrames(b.socket), [])
    t.strictSame([a.socket.closed, b.socket.closed, c.socket.closed], [undefined, 4401, 4401])
  },
)

t.test('a client that is behind gets no recovery on top of what waits', async (t) => {
  const { connect } = setUp({ historySize: 10, outboxMaxBytes: 300 })
  const [a, b] = [connect(), connect()]
  a.say({ type: 'join', room: 'r' })
  a.say({ type: 'join', room: 'live' })
  b.say({ type: 'join', room: 'live' })
  await turnEnd()
  const [, joined] = decodeFrames(a.socket)
  for (let n = 0; n < 6; n++) a.say({ type: 'message', room: 'r', content: 'x'.repeat(100) })
  await turnEnd()
  b.socket.room = 0
  a.say({ type: 'message', room: 'live', content: 'x'.repeat(100) })
  await turnEnd()
  const { epoch, offset } = joined as { epoch: string; offset: number }
  b.say({ type: 'join', room: 'r', since: { epoch, offset } })
  await turnEnd()
  t.equal(b.socket.closed, undefined)
  b.socket.read(100_000)
  await turnEnd()
  t.equal(types(b.socket).filter((type) => type === 'message').length, 7)
  t.equal(b.socket.closed, undefined)
})

t.test('evicting a slow member while delivering loses nothing for the others', async (t) => {
  const { hub, connect } = setUp()
  const members = Array.from({ length: 6 }, connect)
  for (const { say } of members) say({ type: 'join', room: 'r' })
  await turnEnd()
  const slow = members.filter((_, index) => index % 2 === 0)
  for (const { socket } of slow) socket.room = 0
  for (let n = 0; n < 5; n++) {
    await hub.publish('r', 'x'.repeat(600))
    await turnEnd()
  }
  for (const { socket, client } of slow) {
    t.notOk(client.isOpen)
    t.equal(socket.closed, 1013)
  }
  t.equal(hub.size, 3)
  t.equal(hub.counters.slowDisconnects, 3)
  for (const { socket } of members.filter((one) => !slow.includes(one))) {
    t.equal(types(socket).filter((type) => type === 'message').length, 5)
  }
})

t.test(
  'with the policy drop a slow client misses messages, is told how many, and gets every reply',
  async (t) => {
    const { hub, connect } = setUp({ slowClient: 'drop' })
    const { socket, client, say } = connect()
    say({ type: 'join', room: 'r' })
    await turnEnd()
    socket.room = 0
    for (let n = 0; n < 6; n++) {
      await hub.publish('r', `${n} ${'x'.repeat(300)}`)
      await turnEnd()
    }
    say({ type: 'ping', id: 'p' })
    t.ok(client.isOpen)
    t.ok(client.drops > 0)
    await turnEnd()
    socket.read(1_000_000)
    await turnEnd()
    await hub.publish('r', 'after')
    await turnEnd()
    const got = decodeFrames(socket).slice(2)
    const messages = got.filter(({ type }) => type === 'message')
    t.equal(messages.length, 7 - client.drops)
    t.equal(messages.at(-1)?.content, 'after')
    t.match(
      got.find(({ type }) => type === 'dropped'),
      { room: 'r', count: client.drops },
    )
    t.ok(got.some(({ type, id }) => type === 'pong' && id === 'p'))
  },
)

t.test('a client that leaves a room is told of its drops there ahead of left', async (t) => {
  const { hub, connect } = setUp({ slowClient: 'drop' })
  const { socket, client, say } = connect()
  for (const room of ['left', 'r']) say({ type: 'join', room })
  await turnEnd()
  socket.room = 0
  for (let n = 0; n < 6; n++) {
    for (const room of ['left', 'r', undefined]) {
      const content = 'x'.repeat(300)
      await (room === undefined ? hub.broadcast(content) : hub.publish(room, content))
    }
    await turnEnd()
  }
  t.ok(client.drops > 6)
  say({ type: 'leave', room: 'left' })
  await turnEnd()
  socket.read(1_000_000)
  await turnEnd()
  const got = decodeFrames(socket).filter(({ type }) => type === 'dropped' || type === 'left')
  t.match(got.slice(0, 2), [
    { type: 'dropped', room: 'left' },
    { type: 'left', room: 'left' },
  ])
  t.strictSame(new Set(got.slice(2).map(({ room }) => room)), new Set(['r', undefined]))
})

t.test('replies that pile up end the client even with the policy drop', async (t) => {
  const { connect } = setUp({ slowClient: 'drop' })
  const { socket, client, say } = connect()
  socket.room = 0
  await turnEnd()
  for (let n = 0; n < 100 && client.isOpen; n++) say({ type: 'ping', id: `ping number ${n}` })
  t.equal(socket.closed, 1013)
})

t.test('each pong is matched to its own ping', async (t) => {
  const { hub, clock, connect } = setUp()
  const { client } = connect()
  client.sendPing(1)
  clock.now += 30
  client.sendPing(2)
  clock.now += 5
  const pong = (sequence: number) => {
    const payload = Buffer.alloc(4)
    payload.writeUInt32BE(sequence)
    client.ponged(payload)
  }
  pong(1)
  t.equal(client.stats().roundTripMs, 35, 'the late one is not measured against the later ping')
  clock.now += 1
  pong(2)
  t.equal(client.stats().roundTripMs, 6)
  pong(2)
  client.ponged(Buffer.from('unasked'))
  t.match(client.stats(), { pings: 2, pongs: 4, roundTripMs: 6 })
  t.equal(hub.client(client.id), client)
})

t.test('publish refuses what cannot be relayed', async (t) => {
  const { hub } = setUp()
  await t.rejects(hub.publish('', 1), TypeError)
  await t.rejects(hub.publish('r', undefined), TypeError)
  for (const user of ['', 'x'.repeat(257), 5 as never, null as never])
    await t.rejects(hub.publish('r', 1, { user }), TypeError)
  await t.rejects(hub.publish('r', 'x'.repeat(1001)), RangeError)
  t.strictSame(await hub.publish('nobody is here', 1), { scope: 'cluster' })
})

t.test(
  'with its clients gone a hub publishes to other nodes, and does not say that it did when it did not',
  async (t) => {
    let scope: Published['scope'] = 'cluster'
    class OfMany extends MemoryBridge {
      override publish(publication: Publication): Published {
        return { ...super.publish(publication), scope }
      }
      override cluster(): never {
        return { nodes: 2, clients: 0 } as never
      }
    }
    const clock = new ManualClock()
    const { hub: one, connect } = setUp()
    const { hub: ofMany } = setUp({}, clock, new OfMany(limits, clock))
    const { client } = connect()
    for (const hub of [one, ofMany]) hub.beginDraining()
    t.match(await one.publish('r', 1), { scope: 'cluster' }, 'as long as there are clients')
    client.disconnect('goingAway', 'bye')
    await t.rejects(one.publish('r', 1), /nobody is left/)
    await t.rejects(one.broadcast(1), /nobody is left/)
    t.match(await ofMany.publish('r', 1), { scope: 'cluster' })
    scope = 'node'
    await t.rejects(ofMany.publish('r', 1), /nobody is left/)
    await ofMany.close()
    scope = 'cluster'
    await t.rejects(ofMany.broadcast(1), /nobody is left/)
  },
)

t.test('the message rate: notices a second apart, and an end to patience', async (t) => {
  const limiter = new RateLimiter({ messageRate: 10, messageBurst: 5 }, 0)
  for (let n = 0; n < 5; n++) t.equal(limiter.take(0), 'ok')
  t.equal(limiter.take(0), 'notice')
  t.equal(limiter.retryAfterMs(0), 100)
  t.equal(limiter.take(50), 'over')
  t.equal(limiter.take(100), 'ok', 'a token a tenth of a second')
  t.equal(limiter.take(1000), 'ok')
  for (let n = 0; n < 4; n++) limiter.take(1000)
  t.equal(limiter.take(1000), 'notice')

  const flood = new RateLimiter({ messageRate: 10, messageBurst: 5 }, 0)
  const verdicts = Array.from({ length: 56 }, () => flood.take(0))
  t.equal(verdicts.at(-2), 'over')
  t.equal(verdicts.at(-1), 'persistent', 'ten bursts refused')

  const stubborn = new RateLimiter({ messageRate: 10, messageBurst: 5 }, 0)
  let endedAt: number | undefined
  for (let at = 0; at < 20_000 && endedAt === undefined; at += 90) {
    if (stubborn.take(at) === 'persistent') endedAt = at
  }
  t.ok(endedAt !== undefined && endedAt >= 10_000, 'a little over for long')

  const occasional = new RateLimiter({ messageRate: 10, messageBurst: 5 }, 0)
  for (let at = 0; at < 100_000; at += 5000) {
    for (let n = 0; n < 6; n++) t.not(occasional.take(at), 'persistent')
  }
})
