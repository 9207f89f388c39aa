import t, { type Test } from 'tap'
import type { Filled, Publication } from '../../src/bridge/bridge.ts'
import type { RedisClient } from '../../src/bridge/redis-client.ts'
import { RedisClock } from '../../src/bridge/redis-clock.ts'
import { RedisKeys } from '../../src/bridge/redis-keys.ts'
import { RedisMarks } from '../../src/bridge/redis-marks.ts'
import { RedisPublisher } from '../../src/bridge/redis-publisher.ts'
import { Distribution } from '../../src/distribution.ts'
import { turnEnd } from '../support/fake-socket.ts'

/** A publisher whose Redis, hub, clock, timers and turn the test plays. */
function setUp(t: Test, { comesBack = (): boolean => true, size = 10 } = {}) {
  const calls: { resolve(reply: unknown): void; reject(error: Error): void }[] = []
  /** What this node's members got ahead of its place. */
  const early: [string, number | undefined][] = []
  const remembered: [string, number][] = []
  const reads: { room: string; resolve(filled: Filled): void }[] = []
  const ends: (() => void)[] = []
  const state = { isUp: true, nowMs: 0, hasHad: true }
  const ticks = new Map<unknown, () => void>()
  const setTick = (tick: () => void) => {
    const timer = { unref: () => timer }
    ticks.set(timer, tick)
    return timer
  }
  t.capture(globalThis, 'setInterval', setTick as unknown as typeof setInterval)
  t.capture(globalThis, 'clearInterval', (timer: unknown) => void ticks.delete(timer))
  const client = {
    publishCommand: 'PUBLISH',
    inOneWrite: (send: () => void) => send(),
    run: () => new Promise((resolve, reject) => calls.push({ resolve, reject })),
  } as unknown as RedisClient
  const clock = { steadyMs: () => state.nowMs, wallMs: () => state.nowMs }
  const delivery = new Distribution([10])
  let sequence = 0
  const publisher = new RedisPublisher({
    keys: new RedisKeys('test:'),
    marks: new RedisMarks(clock),
    clock,
    redisClock: new RedisClock(),
    figures: { lag: new Distribution([]), delivery, stalls: 0 },
    log: { debug() {}, info() {}, warn() {}, error() {} },
    nextSequence: () => ++sequence,
    beginningsTag: () => 'nodes',
    client: () => (state.isUp ? client : undefined),
    comesBack,
    onRefused: () => {},
  })
  publisher.start({
    node: 'node',
    joins: 7,
    remember: (_room, head, joins) => {
      remembered.push([head, joins])
      return state.hasHad
    },
    catchUp: (room) => new Promise((resolve) => reads.push({ room, resolve })),
    onceRested: (send) => ends.push(send),
    deliverEarly: ({ head }, position) => early.push([head, position?.offset]),
  })
  const history = { size, ttlMs: 1000, maxBytes: 1000 }
  const publish = (head: string, more: Partial<Publication> = {}) =>
    publisher.publish({ room: 'r', head, exclude: undefined, once: undefined, history, ...more })
  const endTurn = () => {
    for (const send of ends.splice(0)) send()
  }
  const tick = () => {
    for (const one of ticks.values()) one()
  }
  return { publisher, calls, early, remembered, reads, state, publish, endTurn, ticks, tick, delivery }
}

t.test('publishes whose link goes before the turn ends reach this node, and Redis never', async (t) => {
  const { publisher, calls, early, state, publish, endTurn, ticks } = setUp(t)
  const acks = Promise.all([publish('a'), publish('b')])
  state.isUp = false
  endTurn()
  t.strictSame(await acks, [{ scope: 'node' }, { scope: 'node' }])
  t.strictSame(early, [
    ['a', undefined],
    ['b', undefined],
  ])
  const given = publish('c')
  t.strictSame(await given, { scope: 'node' }, 'and what follows')
  state.isUp = true
  const late = publish('d')
  publisher.giveUpFlights()
  endTurn()
  t.strictSame(await late, { scope: 'node' }, 'what was given up is not sent either')
  t.equal(calls.length, 0)
  t.strictSame(early.slice(2), [
    ['c', undefined],
    ['d', undefined],
  ])
  t.equal(ticks.size, 0)
})

t.test('the time until what comes back is back is taken, and of nothing else', async (t) => {
  const { publisher, state, publish, endTurn, delivery } = setUp(t)
  void publish('a')
  void publish('b')
  state.nowMs = 3
  endTurn()
  state.nowMs = 7
  publisher.comeBack(1)
  publisher.comeBack(1)
  publisher.comeBack(99)
  t.match(delivery, { count: 1, sum: 4, counts: [1] }, 'once, from when it was sent')
  publisher.giveUpFlights()
  t.equal(delivery.count, 1)
})

t.test('what is not expected back is read from the history when Redis has it', async (t) => {
  const { calls, early, reads, publish, endTurn, ticks } = setUp(t, { comesBack: () => false })
  const acks = Promise.all([publish('a'), publish('b')])
  endTurn()
  t.equal(calls.length, 1, 'one call for both')
  calls[0]?.resolve(['epoch', 7])
  t.strictSame(await acks, [
    { scope: 'cluster', offset: 7 },
    { scope: 'cluster', offset: 8 },
  ])
  t.equal(reads.length, 1, 'one read for both')
  reads[0]?.resolve('whole')
  await turnEnd()
  t.strictSame(early, [])
  t.equal(ticks.size, 0)
})

t.test('where the history cannot be read, it is delivered ahead of its place', async (t) => {
  const { calls, early, reads, publish, endTurn, ticks } = setUp(t, { comesBack: () => false })
  void publish('a')
  endTurn()
  calls[0]?.resolve(['epoch', 7])
  await turnEnd()
  reads[0]?.resolve('gap')
  await turnEnd()
  t.strictSame(early, [['a', 7]])
  t.equal(ticks.size, 0)
})

t.test('without history it is delivered when Redis has it, before what comes back after it', async (t) => {
  let isSubscribed = false
  const { publisher, calls, early, reads, publish, endTurn } = setUp(t, {
    comesBack: () => isSubscribed,
    size: 0,
  })
  const first = publish('first')
  const elsewhere = publish('elsewhere', { room: 'other' })
  isSubscribed = true
  const second = publish('second')
  endTurn()
  publisher.comeBack(3)
  t.strictSame(early, [['first', undefined]])
  calls[0]?.resolve(['-', '-'])
  calls[1]?.resolve(['-', '-'])
  calls[2]?.resolve(['-', '-'])
  await Promise.all([first, elsewhere, second])
  t.strictSame(early, [
    ['first', undefined],
    ['elsewhere', undefined],
  ])
  t.equal(reads.length, 0)
})

t.test('what Redis has taken and does not bring back is read after two ticks', async (t) => {
  const { publisher, calls, early, reads, publish, endTurn, ticks, tick } = setUp(t)
  void publish('a')
  endTurn()
  calls[0]?.resolve(['epoch', 1])
  await turnEnd()
  for (let n = 0; n < 2; n++) tick()
  t.equal(reads.length, 0)
  tick()
  tick()
  t.equal(reads.length, 1, 'once')
  reads[0]?.resolve('whole')
  await turnEnd()
  t.equal(ticks.size, 0)
  void publish('b')
  endTurn()
  calls[1]?.resolve(['epoch', 2])
  await turnEnd()
  t.equal(reads.length, 2, 'what follows is not waited for')
  publisher.comeBack(2)
  void publish('c')
  endTurn()
  calls[2]?.resolve(['epoch', 3])
  await turnEnd()
  t.equal(reads.length, 2, 'until something comes back')
  t.strictSame(early, [])
})

t.test('a repeat in an outage is no new message, whether the first went everywhere or not', async (t) => {
  const { publisher, calls, early, remembered, state, publish, endTurn } = setUp(t)
  const once = { user: 'u', key: 'k' }
  const first = publish('a', { once })
  endTurn()
  calls[0]?.resolve(['epoch', 1])
  publisher.comeBack(1)
  t.strictSame(await first, { scope: 'cluster', offset: 1 })
  state.isUp = false
  t.strictSame(await publish('a again', { once }), { scope: 'node', duplicate: true })
  const other = { user: 'u', key: 'other' }
  t.strictSame(await publish('b', { once: other }), { scope: 'node' })
  t.strictSame(await publish('b again', { once: other }), { scope: 'node', duplicate: true })
  t.strictSame(early, [['b', undefined]])
  state.isUp = true
  void publish('b at last', { once: other })
  t.strictSame(remembered, [['b at last', 7]], 'members of before have had it')
})

t.test('a repeat of what still waits for its delivery here is a message as any other', async (t) => {
  const { calls, early, state, publish, endTurn } = setUp(t)
  const once = { user: 'u', key: 'k' }
  state.isUp = false
  await publish('first', { once })
  Object.assign(state, { isUp: true, hasHad: false })
  const again = publish('again', { once })
  endTurn()
  calls[0]?.reject(new Error('OOM command not allowed'))
  t.strictSame(await again, { scope: 'node' })
  t.strictSame(early, [
    ['first', undefined],
    ['again', undefined],
  ])
})

t.test('a refused publish reaches this node behind those of its room that are on their way', async (t) => {
  const { calls, early, publish, endTurn } = setUp(t)
  const first = publish('a')
  void publish('elsewhere', { room: 'other' })
  const second = publish('b')
  endTurn()
  calls[2]?.reject(new Error('OOM command not allowed'))
  t.strictSame(await second, { scope: 'node' })
  t.strictSame(early, [
    ['a', undefined],
    ['b', undefined],
  ])
  calls[0]?.resolve(['epoch', 1])
  t.strictSame(await first, { scope: 'cluster', offset: 1 })
})

t.test('publishes on their way are looked at, and an idle node is not woken', async (t) => {
  const { publisher, calls, publish, endTurn, ticks } = setUp(t)
  t.equal(ticks.size, 0)
  const ack = publish('a')
  t.equal(ticks.size, 1)
  endTurn()
  calls[0]?.resolve(['epoch', 1])
  await ack
  t.equal(ticks.size, 1, 'it is not back')
  publisher.comeBack(1)
  t.equal(ticks.size, 0)
  void publish('b')
  publisher.giveUpFlights()
  t.equal(ticks.size, 0, 'nor when all is given up')
})

t.test('a loop that is held up before the send is no silence of Redis', async (t) => {
  const { publisher, calls, state, publish, endTurn, tick } = setUp(t)
  const ack = publish('a')
  state.nowMs = 10_000
  tick()
  t.notOk(publisher.isStalled)
  endTurn()
  calls[0]?.resolve(['epoch', 1])
  t.match(await ack, { scope: 'cluster', offset: 1 })
  void publish('b')
  endTurn()
  state.nowMs += 501
  tick()
  t.ok(publisher.isStalled, 'and this is one')
})

t.test('rooms that another master has now do not wait for what is on its way here', async (t) => {
  const { publisher, calls, early, publish, endTurn, ticks } = setUp(t)
  const acks = Promise.all([publish('a'), publish('stays', { room: 'other' }), publish('b')])
  endTurn()
  publisher.letGo((room) => room === 'r')
  t.strictSame(early, [
    ['a', undefined],
    ['b', undefined],
  ])
  calls[0]?.resolve(['epoch', 7])
  calls[1]?.resolve(['epoch', 1])
  calls[2]?.reject(new Error('MOVED 1 127.0.0.1:1'))
  t.strictSame(
    await acks,
    [{ scope: 'cluster', offset: 7 }, { scope: 'cluster', offset: 1 }, { scope: 'node' }],
    'their acks say what has become of them',
  )
  t.equal(early.length, 2, 'and nobody gets them again')
  publisher.comeBack(2)
  t.equal(ticks.size, 0)
})

t.test('a repeat that Redis takes for new, after a flush, is delivered', async (t) => {
  const { publisher, calls, early, publish, endTurn } = setUp(t, { size: 0 })
  const once = { once: { user: 'u', key: 'k' } }
  void publish('first', once)
  endTurn()
  calls[0]?.resolve(['-', '-'])
  publisher.comeBack(1)
  const again = publish('again', once)
  endTurn()
  calls[1]?.resolve(['-', '-'])
  t.strictSame(await again, { scope: 'cluster' })
  publisher.expectNoReturn()
  await turnEnd()
  t.strictSame(early, [['again', undefined]])
})
