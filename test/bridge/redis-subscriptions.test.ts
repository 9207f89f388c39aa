import t, { type Test } from 'tap'
import type { RedisClient } from '../../src/bridge/redis-client.ts'
import { RedisSubscriptions } from '../../src/bridge/redis-subscriptions.ts'
import { turnEnd } from '../support/fake-socket.ts'

const LATER_MS = 10_000

/** Notes the calls; what is subscribed is answered when the test says so. */
function noted() {
  type Answer = (faults?: (Error | undefined)[]) => void
  const calls: { name: 'subscribe' | 'unsubscribe'; channels: string[]; done: Answer }[] = []
  const note = (name: 'subscribe' | 'unsubscribe') => (channels: string[]) =>
    new Promise((resolve) => calls.push({ name, channels, done: (faults = []) => resolve(faults) }))
  const given = { up: () => {}, held: new Set<string>() }
  const client = {
    subscribe: note('subscribe'),
    unsubscribe: note('unsubscribe'),
    onGivenUp: (listener: () => void) => {
      given.up = listener
    },
    subscribed: () => given.held,
  } as unknown as RedisClient
  return { client, calls, given }
}

function subscriptionsOf(t: Test) {
  const told: string[] = []
  const subscriptions = new RedisSubscriptions({
    onGapEnd: (channel) => told.push(`gap ${channel}`),
    onGone: (channel) => told.push(`gone ${channel}`),
    onElsewhere: () => told.push('elsewhere'),
    onFailure: (error) => t.fail(error),
  })
  return { subscriptions, told }
}

const channels = Array.from({ length: 1200 }, (_, n) => `c${n}`)

t.test('a new connection is sent all channels without waiting for answers between', async (t) => {
  const { client, calls } = noted()
  const { subscriptions } = subscriptionsOf(t)
  for (const channel of channels) subscriptions.want(channel)
  let isDone = false
  let steps = 0
  const resumed = subscriptions
    .resume(client, () => {
      steps++
    })
    .then(() => {
      isDone = true
    })
  while (calls.length < 3) await turnEnd()
  t.strictSame(
    calls.map((call) => call.channels.length),
    [500, 500, 200],
  )
  t.notOk(isDone)
  t.notOk(subscriptions.isActive('c0'))
  for (const { done } of calls) done()
  await resumed
  t.equal(steps, 3, 'each part is progress')
  t.ok(channels.every((channel) => subscriptions.isActive(channel)))
})

t.test('many are given back a part each turn, but none that is wanted again meanwhile', async (t) => {
  const { client, calls } = noted()
  const { subscriptions, told } = subscriptionsOf(t)
  await subscriptions.resume(client, () => {})
  for (const channel of channels) subscriptions.want(channel)
  for (const channel of channels) subscriptions.release(channel, 0)
  calls.length = 0
  const swept = subscriptions.sweep(LATER_MS)
  t.strictSame(
    calls.map((call) => call.channels.length),
    [100],
    'the first part at once',
  )
  subscriptions.want('c1199')
  await swept
  t.equal(calls.length, 12)
  t.equal(calls.flatMap((call) => call.channels).length, 1199)
  t.strictSame(told.length, 1199)
  t.strictSame([...subscriptions.channels()], ['c1199'])
})

t.test('what the server gives up is subscribed again, and read when that is confirmed', async (t) => {
  const { client, calls, given } = noted()
  const { subscriptions, told } = subscriptionsOf(t)
  for (const channel of ['a', 'b']) subscriptions.want(channel)
  const resumed = subscriptions.resume(client, () => {})
  calls[0]?.done()
  await resumed
  given.held = new Set(['b'])
  given.up()
  await turnEnd()
  t.notOk(subscriptions.isActive('a'))
  t.ok(subscriptions.isActive('b'))
  t.strictSame(told, ['elsewhere'])
  subscriptions.retry()
  t.strictSame(calls[1]?.channels, ['a'])
  calls[1]?.done([new Error('MOVED 1 127.0.0.1:1')])
  await turnEnd()
  t.strictSame(told, ['elsewhere', 'elsewhere'], 'it is still elsewhere')
  subscriptions.retry()
  calls[2]?.done()
  await turnEnd()
  t.ok(subscriptions.isActive('a'))
  t.strictSame(told.slice(2), ['gap a'])
})

t.test('a channel moves with all who wait for it, and with what it missed', async (t) => {
  const [from, to] = [subscriptionsOf(t), subscriptionsOf(t)]
  const { client, calls } = noted()
  from.subscriptions.want('a')
  const active = from.subscriptions.whenActive('a', LATER_MS)
  await to.subscriptions.resume(client, () => {})
  from.subscriptions.move('a', to.subscriptions)
  to.subscriptions.retry()
  calls[0]?.done()
  await active
  t.ok(to.subscriptions.isActive('a'))
  t.strictSame([...from.subscriptions.channels()], [])
  t.strictSame(to.told, ['gap a'])
})

t.test('what is given up while others are being confirmed is subscribed again too', async (t) => {
  const { client, calls, given } = noted()
  const { subscriptions, told } = subscriptionsOf(t)
  for (const channel of ['a', 'b']) subscriptions.want(channel)
  const resumed = subscriptions.resume(client, () => {})
  // The server has confirmed a and given it up, and only then confirms b.
  given.held = new Set(['b'])
  given.up()
  await turnEnd()
  calls[0]?.done()
  await resumed
  t.notOk(subscriptions.isActive('a'))
  t.strictSame(told, ['elsewhere'])
  subscriptions.retry()
  t.strictSame(calls[1]?.channels, ['a'])
})

t.test('of a slot that moves with many channels, all are looked at once', async (t) => {
  const { client, calls, given } = noted()
  const { subscriptions, told } = subscriptionsOf(t)
  for (const channel of channels) subscriptions.want(channel)
  const resumed = subscriptions.resume(client, () => {})
  while (calls.length < 3) await turnEnd()
  for (const { done } of calls) done()
  await resumed
  let looks = 0
  client.subscribed = () => {
    looks++
    return new Set()
  }
  for (const _ of channels) given.up()
  await turnEnd()
  t.equal(looks, 1)
  t.strictSame(told, ['elsewhere'])
  calls.length = 0
  subscriptions.retry()
  subscriptions.retry()
  t.equal(calls.flatMap((call) => call.channels).length, channels.length, 'each is asked for once')
})

t.test('a connection that is lost before it is ready has confirmed nothing', async (t) => {
  const [first, second] = [noted(), noted()]
  const { subscriptions } = subscriptionsOf(t)
  for (const channel of channels) subscriptions.want(channel)
  void subscriptions.resume(first.client, () => {})
  while (first.calls.length < 3) await turnEnd()
  first.calls[0]?.done()
  await turnEnd()
  t.ok(subscriptions.isActive('c0'))
  const resumed = subscriptions.resume(second.client, () => {})
  t.notOk(subscriptions.isActive('c0'))
  while (second.calls.length < 3) await turnEnd()
  t.strictSame(
    second.calls.flatMap((call) => call.channels),
    channels,
  )
  first.calls[1]?.done()
  await turnEnd()
  t.notOk(subscriptions.isActive('c500'), 'nor do its late answers count')
  for (const { done } of second.calls) done()
  await resumed
  t.ok(channels.every((channel) => subscriptions.isActive(channel)))
})

t.test('a channel that has moved before it is given back is no fault of the connection', async (t) => {
  const { client } = noted()
  const { subscriptions, told } = subscriptionsOf(t)
  client.unsubscribe = () => Promise.reject(new Error('MOVED 1 127.0.0.1:1'))
  await subscriptions.resume(client, () => {})
  subscriptions.want('a')
  subscriptions.release('a', 0)
  await subscriptions.sweep(LATER_MS)
  await turnEnd()
  t.strictSame(told, ['gone a', 'elsewhere'])
})

t.test('who waits in vain is told so, and not kept in mind', async (t) => {
  const { subscriptions } = subscriptionsOf(t)
  subscriptions.want('a')
  t.equal(await subscriptions.whenActive('a', 1), false)
  const { client, calls } = noted()
  const resumed = subscriptions.resume(client, () => {})
  const active = subscriptions.whenActive('a', LATER_MS)
  calls[0]?.done()
  await resumed
  t.equal(await active, true)
  t.equal(await subscriptions.whenActive('a', 1), true)
})
