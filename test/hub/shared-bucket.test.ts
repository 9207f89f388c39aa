import t from 'tap'
import { RateLimiter } from '../../src/hub/rate-limiter.ts'
import { SharedBuckets } from '../../src/hub/shared-bucket.ts'
import { heldBytes } from '../support/held-bytes.ts'

const limits = { messageRate: 10, messageBurst: 20 }
const bucketsOf = (factor: number, isHandedOn = true) =>
  new SharedBuckets({
    rate: factor * limits.messageRate,
    burst: factor * limits.messageBurst,
    isHandedOn,
  })

/** How many of so many frames at once get through. */
function sent(limiter: RateLimiter, count: number, nowMs: number, isOwn = false): number {
  return Array.from({ length: count }, () => limiter.take(nowMs, isOwn)).filter((verdict) => verdict === 'ok')
    .length
}

t.test('a client that comes back goes on with the bucket that it left', async (t) => {
  const buckets = bucketsOf(10)
  let through = 0
  for (let nowMs = 0; nowMs <= 10_000; nowMs += 10) {
    const client = new RateLimiter(limits, nowMs, buckets.of('ada'))
    through += sent(client, 30, nowMs)
    client.end(nowMs)
    client.end(nowMs)
  }
  t.equal(through, 20 + 100, 'a thousand lives send what one would')
  t.equal(sent(new RateLimiter(limits, 10_000, buckets.of('bob')), 30, 10_000), 20, 'another user is new')
  t.equal(sent(new RateLimiter(limits, 12_500, buckets.of('ada')), 30, 12_500), 20, 'and she is, later')
})

t.test('clients of one user beside each other have a bucket each, ten at most', async (t) => {
  const buckets = bucketsOf(10)
  const clients = Array.from({ length: 15 }, () => new RateLimiter(limits, 0, buckets.of('ada')))
  const through = clients.map((client) => sent(client, 20, 0))
  t.strictSame(through, [...Array(10).fill(20), ...Array(5).fill(0)])
  const last = clients.at(-1) as RateLimiter
  t.equal(last.retryAfterMs(0), 10, 'it waits for a token of the user')
  t.equal(sent(last, 5, 0, true), 5, 'what is its own affair gets through')
  t.equal(sent(last, 30, 100), 10, 'a hundred a second for all')
})

t.test('what one has used behind an address is not held against the next', async (t) => {
  const buckets = bucketsOf(2, false)
  for (const expected of [20, 20, 0]) {
    const client = new RateLimiter(limits, 0, buckets.of('10.0.0.1'))
    t.equal(sent(client, 30, 0), expected)
    client.end(0)
  }
})

t.test('a bucket is remembered until it is full, and all of them in few bytes', async (t) => {
  const buckets = bucketsOf(10)
  const visit = (owner: string) => {
    const client = new RateLimiter(limits, 0, buckets.of(owner))
    const through = sent(client, 20, 0)
    client.end(0)
    return through
  }
  const held = heldBytes(() => {
    for (let n = 0; n < 120_000; n++) visit(`${n}`.padEnd(256, '\u0416'))
    return buckets
  })
  t.ok(held < 48 * 1024 * 1024, `${Math.round(held / 1024)} KiB`)
  t.equal(visit('119999'.padEnd(256, '\u0416')), 0)
})
