import t from 'tap'
import type { RedisClient } from '../../src/bridge/redis-client.ts'
import { RedisSubscriptions } from '../../src/bridge/redis-subscriptions.ts'
import { turnEnd } from '../support/fake-socket.ts'

const LATER_MS = 10_000

/** Notes the calls; what is subscribed is confirmed when the test says so. */
function noted() {
  const calls: { name: 'subscribe' | 'unsubscribe'; channels: string[]; done: () => void }[] = []
  const note = (name: 'subscribe' | 'unsubscribe') => (channels: string[]) =>
    new Promise<void>((done) => calls.push({ name, channels, done }))
  const client = { subscribe: note('subscribe'), unsubscribe: note('unsubscribe') } as unknown as RedisClient
  return { client, calls }
}

const channels = Array.from({ length: 1200 }, (_, n) => `c${n}`)

t.test('a new connection is sent all channels without waiting for answers between', async (t) => {
  const { client, calls } = noted()
  const subscriptions = new RedisSubscriptions()
  for (const channel of channels) subscriptions.want(channel)
  let isDone = false
  const resumed = subscriptions
    .resume(client, (error) => t.fail(error))
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
  t.ok(channels.every((channel) => subscriptions.isActive(channel)))
})

t.test('many are given back a part each turn, but none that is wanted again meanwhile', async (t) => {
  const { client, calls } = noted()
  const subscriptions = new RedisSubscriptions()
  await subscriptions.resume(client, (error) => t.fail(error))
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
  t.ok(subscriptions.has('c1199'))
  t.notOk(subscriptions.has('c0'))
})
