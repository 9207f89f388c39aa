// Outages of Redis that last: B33, B34 and B37 at their full length.
import t from 'tap'
import { redisFor } from '../support/node-pair.ts'
import { livesThrough } from '../support/redis-outage.ts'

/** Until a silent Redis is noticed, members wait for what is on its way. */
const NOTICED_MS = 1000

for (const seconds of [12, 60]) {
  t.test(`B33 B34 killed for ${seconds} s`, async (t) => {
    const redis = await redisFor(t)
    await livesThrough(t, {
      redis,
      begin: () => redis.kill(),
      end: () => redis.start(),
      lastsMs: seconds * 1000,
      everyMs: 50,
    })
  })
}

t.test('B37 frozen for 30 s', async (t) => {
  const redis = await redisFor(t)
  await livesThrough(t, {
    redis,
    begin: () => redis.freeze(),
    end: () => redis.thaw(),
    lastsMs: 30_000,
    everyMs: 50,
    noticedMs: NOTICED_MS,
  })
})
