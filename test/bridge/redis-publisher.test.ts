import t, { type Test } from 'tap'
import type { Publication } from '../../src/bridge/bridge.ts'
import type { RedisClient } from '../../src/bridge/redis-client.ts'
import { RedisKeys } from '../../src/bridge/redis-keys.ts'
import { RedisPublisher } from '../../src/bridge/redis-publisher.ts'

/** A publisher whose Redis, clock, timers and turn the test plays. */
function setUp(t: Test, { comesBack = (): boolean => true } = {}) {
  const calls: { resolve(reply: unknown): void }[] = []
  const delivered: [string, number | undefined][] = []
  const ends: (() => void)[] = []
  const state = { isUp: true, nowMs: 0 }
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
    run: () => new Promise((resolve) => calls.push({ resolve })),
  } as unknown as RedisClient
  const publisher = new RedisPublisher({
    keys: new RedisKeys('test:'),
    clock: { steadyMs: () => state.nowMs, wallMs: () => state.nowMs },
    log: { debug() {}, info() {}, warn() {}, error() {} },
    historySize: 10,
    historyTtlMs: 1000,
    historyMaxBytes: 1000,
    client: () => (state.isUp ? client : undefined),
    comesBack,
    onceRested: (send) => ends.push(send),
    deliverLocally: ({ head }, position) => delivered.push([head, position?.offset]),
    onRefused: () => t.fail('nothing is refused'),
  })
  publisher.start('node')
  const publish = (head: string, more: Partial<Publication> = {}) =>
    publisher.publish({ room: 'r', head, exclude: undefined, once: undefined, ...more })
  const endTurn = () => {
    for (const send of ends.splice(0)) send()
  }
  const tick = () => {
    for (const one of ticks.values()) one()
  }
  return { publisher, calls, delivered, state, publish, endTurn, ticks, tick }
}

t.test('publishes whose link goes before the turn ends reach this node, and Redis never', async (t) => {
  const { publisher, calls, delivered, state, publish, endTurn, ticks } = setUp(t)
  const acks = Promise.all([publish('a'), publish('b')])
  state.isUp = false
  endTurn()
  t.strictSame(await acks, [{ scope: 'node' }, { scope: 'node' }])
  t.strictSame(delivered, [
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
  t.strictSame(delivered.slice(2), [
    ['c', undefined],
    ['d', undefined],
  ])
  t.equal(ticks.size, 0)
})

t.test('what is not expected back is delivered when Redis has it, with its place', async (t) => {
  const { calls, delivered, publish, endTurn, ticks } = setUp(t, { comesBack: () => false })
  const acks = Promise.all([publish('a'), publish('b')])
  endTurn()
  t.equal(calls.length, 1, 'one call for both')
  t.strictSame(delivered, [])
  calls[0]?.resolve(['epoch', 7])
  t.strictSame(await acks, [
    { scope: 'cluster', offset: 7 },
    { scope: 'cluster', offset: 8 },
  ])
  t.strictSame(delivered, [
    ['a', 7],
    ['b', 8],
  ])
  t.equal(ticks.size, 0)
})

t.test('it is delivered before what comes back after it in its room, and no other is', async (t) => {
  let isSubscribed = false
  const { publisher, calls, delivered, publish, endTurn } = setUp(t, { comesBack: () => isSubscribed })
  const first = publish('first')
  const elsewhere = publish('elsewhere', { room: 'other' })
  isSubscribed = true
  const second = publish('second')
  endTurn()
  t.ok(publisher.comeBack(3), 'members should get the second')
  t.strictSame(delivered, [['first', undefined]])
  t.notOk(publisher.comeBack(1), 'and the first not again')
  calls[0]?.resolve(['epoch', 1])
  calls[1]?.resolve(['epoch', 1])
  calls[2]?.resolve(['epoch', 2])
  await Promise.all([first, elsewhere, second])
  t.strictSame(delivered, [
    ['first', undefined],
    ['elsewhere', 1],
  ])
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
  publisher.deliverFlights()
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
