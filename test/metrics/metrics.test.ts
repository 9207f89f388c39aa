// What /metrics shows, on a running server and with many clients.
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import Fastify from 'fastify'
import t from 'tap'
import { roomcast } from '../../src/app.ts'
import { Distribution } from '../../src/distribution.ts'
import { connect } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { startRedis } from '../support/redis.ts'
import { startServer } from '../support/server.ts'
import { SECRET } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

/** The values of one scrape by name and labels, as they stand in the text; over a connection of its own. */
async function scrape({ host, port }: { host: string; port: number }): Promise<Map<string, number>> {
  const [response] = (await once(get({ host, port, path: '/metrics', agent: false }), 'response')) as [
    IncomingMessage,
  ]
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
  const lines = (await text(response)).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  )
}

t.test('what clients do is counted', async (t) => {
  const server = await startServer({ PING_INTERVAL_MS: '100' })
  t.teardown(() => server.stop())
  const a = await connect(server, 'a')
  const b = await connect(server, 'b')
  const { epoch, offset } = await a.join('r')
  await b.join('r')
  b.say('r', 'to a')
  await a.next('message')
  a.send({ type: 'join', room: 'r', id: 1, since: { epoch, offset } })
  await a.next('joined')
  a.send({ type: 'message', room: 'elsewhere', content: 1, id: 2 })
  await a.next('error')
  const refused = await fetch(`http://${server.host}:${server.port}/ws`)
  t.equal(refused.status, 426)
  await b.close()
  const seen = await pollUntil(
    'b is gone and a ping is answered',
    async () => {
      const values = await scrape(server)
      const isSettled =
        values.get('roomcast_closes_total{cause="peer"}') === 1 &&
        (values.get('roomcast_ping_seconds_count') ?? 0) > 0
      return isSettled ? values : undefined
    },
    10_000,
  )
  t.equal(seen.get('roomcast_clients'), 1)
  t.equal(seen.get('roomcast_users'), 1)
  t.equal(seen.get('roomcast_rooms'), 1)
  t.notOk(seen.has('roomcast_bridge_stalls_total'), 'there are no other nodes')
  t.equal(seen.get('roomcast_memberships'), 1)
  t.equal(seen.get('roomcast_connects_total'), 2)
  t.equal(seen.get('roomcast_requests_total{type="join"}'), 3)
  t.equal(seen.get('roomcast_requests_total{type="message"}'), 2)
  t.equal(seen.get('roomcast_errors_total{code="not_member"}'), 1)
  t.equal(seen.get('roomcast_recoveries_total{result="recovered"}'), 1)
  t.equal(seen.get('roomcast_published_total'), 1)
  t.equal(seen.get('roomcast_deliveries_total'), 2, 'one live, one again by the join')
  t.equal(seen.get('roomcast_frames_in_total'), 5, 'those of the client that is gone, too')
  t.equal(seen.get('roomcast_upgrades_refused_total{reason="bad_upgrade"}'), 1)
  t.equal(seen.get('roomcast_bridge_up'), 1)
  t.ok((seen.get('roomcast_bytes_in_total') ?? 0) > 0)
  t.ok((seen.get('roomcast_bytes_out_total') ?? 0) > 0)
  t.ok(seen.has('nodejs_eventloop_lag_p99_seconds'))
  t.ok(seen.has('process_start_time_seconds'))
  t.ok((seen.get('process_resident_memory_bytes') ?? 0) > 1e7)
  const later = await scrape(server)
  for (const [name, value] of seen)
    if (/_total|_count|_bucket/.test(name)) t.ok((later.get(name) ?? 0) >= value, `${name} does not fall`)
})

t.test(
  'it is off in an app that embeds roomcast, unless asked for, and METRICS=false turns it off',
  async (t) => {
    for (const [options, status] of [
      [{}, 404],
      [{ metrics: true, prefix: '/realtime' }, 200],
    ] as const) {
      const app = Fastify()
      await app.register(roomcast, { jwtSecret: SECRET, ...options })
      const url = `${'prefix' in options ? options.prefix : ''}/metrics`
      t.equal((await app.inject(url)).statusCode, status)
      await app.close()
    }
    const server = await startServer({ METRICS: 'false' })
    t.teardown(() => server.stop())
    t.equal((await fetch(`http://${server.host}:${server.port}/metrics`)).status, 404)
  },
)

t.test('one scrape tells of all workers, whichever is asked', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const server = await startServer({ REDIS_URL: redis.url, WORKERS: '2', PORT: String(await freePort()) })
  t.teardown(() => server.stop())
  await pollUntil(
    'both listen',
    () => server.logs.filter(({ msg }) => msg === 'listening').length === 2,
    10_000,
  )
  const clients = []
  for (let n = 0; n < 4; n++) clients.push(await connect(server, `u${n}`))
  const seen = await pollUntil(
    'both answer',
    async () => {
      const values = await scrape(server)
      return values.get('roomcast_clients') === 4 ? values : undefined
    },
    10_000,
  )
  t.equal([...seen.keys()].filter((name) => name.startsWith('roomcast_info')).length, 2)
  t.equal(seen.get('roomcast_bridge_up'), 1)
  for (const client of clients) await client.close()
})

t.test('with a worker that hangs or dies, no sum falls, and the others are told of', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const server = await startServer({ REDIS_URL: redis.url, WORKERS: '2', PORT: String(await freePort()) })
  t.teardown(() => server.stop())
  const pids = () => server.logs.filter(({ msg }) => msg === 'listening').map(({ pid }) => Number(pid))
  await pollUntil('both listen', () => pids().length === 2, 10_000)
  for (let n = 0; n < 4; n++) await connect(server, `u${n}`)
  const figures = async () => {
    const seen = await scrape(server)
    return {
      connects: seen.get('roomcast_connects_total'),
      clients: seen.get('roomcast_clients'),
      nodes: [...seen.keys()].filter((name) => name.startsWith('roomcast_info')).length,
    }
  }
  const all = { connects: 4, clients: 4, nodes: 2 }
  await pollUntil('both have said', async () => (await figures()).connects === 4, 10_000)
  t.strictSame(await figures(), all)
  const [victim = 0] = pids()
  process.kill(victim, 'SIGSTOP')
  // One connection waits for the worker that hangs; the other scrapes are the other worker's.
  const scrapes = [figures(), figures(), figures()]
  const answered: object[] = []
  for (const one of scrapes) one.then((seen) => answered.push(seen)).catch(() => undefined)
  await pollUntil('the other worker answers', () => answered.length >= 2, 10_000)
  t.strictSame(answered.slice(0, 2), [all, all], 'the one that hangs counts as it was')
  process.kill(victim, 'SIGKILL')
  await pollUntil('another listens', () => pids().length === 3, 10_000)
  t.strictSame(
    await figures(),
    { connects: 4, clients: 2, nodes: 2 },
    'what was counted stays, who was here not',
  )
})

t.test('with Redis, the way there and back is measured, and its stalls are counted', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const server = await startServer({ REDIS_URL: redis.url })
  t.teardown(() => server.stop())
  const [one, two] = [await connect(server, 'ada'), await connect(server, 'ada')]
  await one.join('r')
  const until = (what: string, isSo: (values: Map<string, number>) => boolean) =>
    pollUntil(
      what,
      async () => ((values) => (isSo(values) ? values : undefined))(await scrape(server)),
      10_000,
    )
  const lagCount = (values: Map<string, number>) => values.get('roomcast_bridge_lag_seconds_count') ?? 0
  const seen = await until('two heartbeats were heard', (values) => lagCount(values) >= 2)
  t.match(seen.get('roomcast_users'), 1)
  t.equal(seen.get('roomcast_bridge_stalls_total'), 0)
  t.ok((seen.get('roomcast_bridge_lag_seconds_sum') ?? 9) < 1)
  await one.publish('r', 'there and back')
  const timed = await until(
    'it is back',
    (values) => values.get('roomcast_publish_delivery_seconds_count') === 1,
  )
  t.ok((timed.get('roomcast_publish_delivery_seconds_sum') ?? 9) < 5)
  redis.freeze()
  one.say('r', 'into the ice')
  await until('the stall is counted', (values) => values.get('roomcast_bridge_stalls_total') === 1)
  redis.thaw()
  await until('it is up again', (values) => values.get('roomcast_bridge_up') === 1 && lagCount(values) >= 3)
  await Promise.all([one.close(), two.close()])
})

t.test('a distribution counts what is up to each bound', async (t) => {
  const distribution = new Distribution([1, 10])
  for (const value of [0, 1, 2, 10, 11]) distribution.add(value)
  t.match(distribution, { counts: [2, 2], count: 5, sum: 24 })
})
