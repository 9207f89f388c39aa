import t from 'tap'
import { connectionCounts } from '../../plugins/connection-counts.ts'
import { heldBytes } from '../support/held-bytes.ts'

type Counted = { current: number; ttl: number }

/** A Redis that answers when the test says so; a real one is in test/long/outage-silent.long.ts. */
function slowRedis() {
  const asked: ((error: Error | null, reply?: [number, number]) => void)[] = []
  let cuts = 0
  const redis = {
    status: 'ready',
    defineCommand() {},
    rateLimit(...args: unknown[]) {
      asked.push(args.at(-1) as (typeof asked)[number])
    },
    disconnect() {
      cuts++
    },
  }
  const counts = connectionCounts(redis, 'p:')
  const count = (key: string) =>
    new Promise<Counted>((resolve) => counts.incr(key, (_error, counted) => resolve(counted), 10_000, 5))
  return { redis, asked, count, cuts: () => cuts }
}

t.test('what Redis counts is taken, and a failure is counted here', async (t) => {
  const { asked, count } = slowRedis()
  const first = count('a')
  asked[0]?.(null, [7, 900])
  t.strictSame(await first, { current: 7, ttl: 900 })
  const second = count('a')
  asked[1]?.(new Error('gone'))
  t.match(await second, { current: 1 })
  t.match(await count('a'), { current: 2 }, 'and so is the next, without asking')
  t.equal(asked.length, 2)
})

t.test('a Redis that owes an answer is asked no more: it would count all of it when it thaws', async (t) => {
  const { asked, count, cuts } = slowRedis()
  t.match(await count('a'), { current: 1 }, 'counted here')
  for (let n = 2; n <= 5; n++) t.match(await count('a'), { current: n })
  t.equal(asked.length, 1)
  asked[0]?.(null, [1, 900])
  const next = count('a')
  t.equal(asked.length, 2, 'it has answered, so it is asked again')
  asked[1]?.(null, [2, 800])
  t.match(await next, { current: 2 })
  t.equal(cuts(), 0)
})

t.test('a connection that says nothing for seconds is given up, also before it is ready', async (t) => {
  const { asked, count, cuts, redis } = slowRedis()
  const { now } = performance
  let aheadMs = 0
  performance.now = () => now.call(performance) + aheadMs
  t.teardown(() => {
    performance.now = now
  })
  await count('a')
  await count('a')
  aheadMs += 2900
  await count('a')
  t.equal(cuts(), 0)
  aheadMs += 200
  await count('a')
  t.equal(cuts(), 1)
  asked[0]?.(new Error('cut'))
  redis.status = 'connect'
  await count('a')
  aheadMs += 3100
  await count('a')
  t.equal(cuts(), 2)
  redis.status = 'reconnecting'
  aheadMs += 3100
  await count('a')
  t.equal(cuts(), 2, 'what is reconnecting goes on by itself')
  t.equal(asked.length, 1)
})

t.test('a window here is one of the steady clock', async (t) => {
  const { count, redis } = slowRedis()
  redis.status = 'end'
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  await count('a')
  Date.now = () => now() - 3_600_000
  const { current, ttl } = await count('a')
  t.equal(current, 2)
  t.ok(ttl <= 10_000, 'a clock that is put back does not lengthen it')
})

t.test('a flood of other addresses has nothing forgotten of one that has used up its limit', async (t) => {
  for (const max of [1, 5, 3000]) {
    const counts = connectionCounts(undefined, 'p:')
    const count = (key: string) => {
      let current = 0
      counts.incr(key, (_error, counted) => (current = counted.current), 60_000, max)
      return current
    }
    for (let n = 0; n < max + 3; n++) count('10.0.0.1')
    for (let n = 0; n < 120_000; n++) count(`2001:db8:${n.toString(16)}::`)
    t.equal(count('10.0.0.1'), max + 4, `of ${max}`)
  }
})

t.test('one that keeps coming is not forgotten for others that do not', async (t) => {
  const counts = connectionCounts(undefined, 'p:')
  let current = 0
  const count = (key: string) =>
    counts.incr(key, (_error, counted) => (current = counted.current), 60_000, 3000)
  for (let n = 0; n < 120_000; n++) {
    count(`2001:db8:${n.toString(16)}::`)
    if (n % 10_000 === 0) count('10.0.0.1')
  }
  count('10.0.0.1')
  t.equal(current, 13)
})

t.test('an address keeps nothing of the header that it came in', async (t) => {
  const counts = connectionCounts(undefined, 'p:')
  const held = heldBytes(() => {
    for (let n = 0; n < 30_000; n++) {
      const header = `2001:db8:0:${n.toString(16)}::, ${'x'.repeat(8_000)}`
      counts.incr(header.slice(0, header.indexOf(',')), () => {}, 60_000, 3000)
    }
    return counts
  })
  t.ok(held < 16 * 1024 * 1024, `${Math.round(held / 1024)} KiB`)
})
