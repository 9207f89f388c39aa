// Outages of Redis that last: B33, B34 and B37 at their full length, and under load; nodes that are killed, B53.
import t from 'tap'
import { connect } from '../support/client.ts'
import { connectCrowd } from '../support/crowd.ts'
import {
  clusterOf,
  connectionsOf,
  isSound,
  keysLapse,
  knowEachOther,
  redisFor,
  roomSubscribers,
  startNode,
} from '../support/node-pair.ts'
import { livesThrough } from '../support/redis-outage.ts'
import { stillServing } from '../support/still-serving.ts'
import { pollUntil } from '../support/until.ts'

/** Until a silent Redis is noticed, members wait for what is on its way. */
const NOTICED_MS = 1000
const twoMegabytesASecond = { everyMs: 5, padBytes: 10_000, from: [0], lastsMs: 4000 } as const

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

t.test('B35 B37 frozen under 2 MB a second', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  await livesThrough(t, {
    ...twoMegabytesASecond,
    redis,
    begin: () => redis.freeze(),
    end: () => redis.thaw(),
    noticedMs: NOTICED_MS,
  })
})

t.test('B37 killed under 2 MB a second', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  await livesThrough(t, {
    ...twoMegabytesASecond,
    redis,
    begin: () => redis.kill(),
    end: () => redis.start(),
    log: /ECONNREFUSED/,
  })
})

t.test('B53 (2, 3) nodes killed: forgotten, and nothing of them is left', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const first = await startNode(t, redis.url)
  const b = await connect(first, 'b')
  await b.join('r')
  let keys = 0
  for (let n = 0; n < 3; n++) {
    const other = await startNode(t, redis.url)
    const crowd = await connectCrowd(other, 20, ['r', `only-${n % 2}`])
    await roomSubscribers(redis, { r: 2, [`only-${n % 2}`]: 1 })
    await b.publish('r', n)
    if (n === 1) keys = ((await redis.command('KEYS', '*')) as string[]).length
    t.match(await first.health(), { clients: 1, rooms: 1 })
    await other.stop('SIGKILL')
    for (const { socket } of crowd) socket.destroy()
    await roomSubscribers(redis, { r: 1 })
  }
  const last = await startNode(t, redis.url)
  const crowd = await connectCrowd(last, 100, ['r'])
  await pollUntil('the cluster is counted', async () => (await clusterOf(first)).clients === 101, 15_000)
  await knowEachOther([first, last])
  t.strictSame(await clusterOf(last), { nodes: 2, clients: 101 }, 'the same on both')
  await last.stop('SIGKILL')
  const killedMs = performance.now()
  for (const { socket } of crowd) socket.destroy()
  t.match(await first.health(), { clients: 1, rooms: 1 }, 'its own counts are true at once')
  await roomSubscribers(redis, { r: 1 })
  await pollUntil('the killed node is forgotten', async () => (await clusterOf(first)).nodes === 1, 15_000)
  t.pass(`forgotten after ${Math.round(performance.now() - killedMs)} ms`)
  t.strictSame(await clusterOf(first), { nodes: 1, clients: 1 })
  t.equal(await connectionsOf(redis), 3, 'its connections are gone')
  await keysLapse(t, redis, keys)
  await stillServing(t, first, { bystander: b, open: 1 })
  isSound(t, [first])
})
