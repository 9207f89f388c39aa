// Redis that answers, but not as it should: B38, B42 and B19.
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { payloadHeader } from '../../src/bridge/redis-payload.ts'
import { type Client, connect } from '../support/client.ts'
import { bothDown, bothUp, linksOf, saysLinks } from '../support/health-watch.ts'
import {
  bothSay,
  isSound,
  isTidy,
  isWhole,
  keysLapse,
  livedThrough,
  localLife,
  type Pair,
  redisFor,
  startNode,
  startPair,
  subscribers,
} from '../support/node-pair.ts'
import type { TestRedis } from '../support/redis.ts'
import { livesThrough } from '../support/redis-outage.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { Traffic } from '../support/traffic.ts'
import { pace, pollUntil } from '../support/until.ts'

t.jobs = 3
const sides = [0, 1] as const
/** Delivery is back so long after a permission is. */
const PERMITTED_MS = 10_000

/** Keeps the last payload of each channel. */
async function wiretap(t: Test, redis: TestRedis): Promise<Map<string, Buffer>> {
  const captured = new Map<string, Buffer>()
  const client = new Redis(redis.port, { retryStrategy: null })
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  client.on('pmessageBuffer', (_pattern, channel: Buffer, payload: Buffer) => {
    captured.set(channel.toString(), payload)
  })
  await client.psubscribe('*')
  return captured
}

/** What anybody with access to Redis may publish; `valid` is a captured message of another node. */
function garbage(valid: Buffer, ownNode: string): (string | Buffer)[] {
  const at = valid.indexOf(10)
  const words = valid.toString('latin1', 0, at).split(' ')
  const text = valid.subarray(at + 1)
  const envelope = JSON.parse(text.toString()) as Record<string, unknown>
  const withWords = (changed: string[]) => Buffer.concat([Buffer.from(`${changed.join(' ')}\n`), text])
  const withText = (changed: string) => Buffer.from(`${words.join(' ')}\n${changed}`)
  const withField = (more: Record<string, unknown>) => withText(JSON.stringify({ ...envelope, ...more }))
  const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  const huge = Buffer.from(`{"type":"message","room":"r","content":"${'h'.repeat(3_000_000)}"`)
  return [
    '',
    'hello',
    'null',
    '5',
    '[]',
    '{}',
    '{',
    '\n',
    '1\n{}',
    'a'.repeat(1_000_000),
    Buffer.from([0xff, 0xfe]),
    ...words.map((_, i) => withWords(words.filter((_word, j) => j !== i))),
    ...words.map((_, i) => withWords(words.map((word, j) => (j === i ? '' : word)))),
    ...Object.keys(envelope).map((name) => withField({ [name]: undefined })),
    withField({ room: '__proto__' }),
    withField({ room: 5 }),
    withField({ type: 'welcome' }),
    withField({ content: 'forged' }),
    withWords(words.map((word, j) => (j === 1 ? ownNode : word))),
    withWords(words.map((word, j) => (j === 0 ? '1' : word))),
    withWords(words.map((word, j) => (j === 0 ? '999999999999999999999' : word))),
    withWords(words.map((word, j) => (j === 2 ? 'NaN' : word))),
    withWords(words.map((word, j) => (j === 5 ? '-1' : word))),
    withWords([...words, 'more']),
    withText(nested(100)),
    withText(nested(50_000)),
    nested(100),
    nested(50_000),
    valid.subarray(0, valid.length - 5),
    Buffer.concat([valid, Buffer.from(' ')]),
    // Whole and well sealed, but larger than any client may send.
    Buffer.concat([
      Buffer.from(
        `${payloadHeader('other', [{ sequence: 1, exclude: undefined, mark: undefined, head: huge }])} - - -\n`,
      ),
      huge,
      Buffer.from('}'),
    ]),
    '{"node":"x"}',
    '{"node":5,"clients":1}',
    '{"node":"x","clients":-1}',
    '{"node":"x","clients":1e400}',
    `{"node":"${'x'.repeat(500)}","clients":1}`,
  ]
}

t.test('B38 garbage on every channel', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const pair = await startPair(t, redis.url)
  const [first] = pair
  const [a, c] = await Promise.all([connect(pair[0], 'a'), connect(pair[1], 'c')])
  await a.join('r')
  await c.join('r')
  const captured = await wiretap(t, redis)
  await c.publish('r', 'captured')
  await c.publish(undefined, 'to everybody')
  const channels = Object.keys(await subscribers(redis))
  const roomChannel = channels.find((name) => name.includes('{r}')) ?? ''
  // Nobody has asked one node alone for anything.
  const used = channels.filter((name) => !name.includes('node:'))
  await pollUntil('something on every channel', () => used.every((name) => captured.has(name)), 10_000)
  const valid = captured.get(roomChannel) ?? Buffer.alloc(0)
  const toEverybody =
    captured.get(channels.find((name) => name.includes('everybody')) ?? '') ?? Buffer.alloc(0)
  await a.collectUntil(({ content }) => content === 'to everybody')
  const admin = new Redis(redis.port)
  t.teardown(() => admin.disconnect())
  const wanted: unknown[] = []
  let n = 0
  for (const channel of channels) {
    for (const bad of [
      ...garbage(valid, String(a.welcome.node)),
      ...garbage(toEverybody, String(a.welcome.node)),
    ]) {
      await admin.publish(channel, bad)
      await admin.publish(roomChannel, valid)
      await c.publish('r', ++n)
      wanted.push(n)
    }
  }
  const got = (await a.collectUntil(({ content }) => content === n, 20_000)).map(({ content }) => content)
  t.strictSame(got, wanted, 'nothing else, and nothing again')
  t.ok(
    a.received.every((envelope) => a.text(envelope).length < 1000),
    'nothing large',
  )
  t.strictSame(
    a.received.filter(({ type }) => !['welcome', 'joined', 'message'].includes(type)),
    [],
  )
  const warnings = first.logs.filter(({ level }) => Number(level) >= 40)
  const elapsedMs = Number(warnings.at(-1)?.time) - Number(warnings[0]?.time)
  t.ok(warnings.length >= 1, 'said')
  t.ok(warnings.length <= 1 + Math.ceil(elapsedMs / 10_000), `${warnings.length} warnings`)
  t.ok(
    warnings.every((line) => JSON.stringify(line).length < 400),
    'nothing of what came in the log',
  )
  t.match(await first.health(), { status: 'healthy', cluster: { nodes: 2 } })
  isSound(t, pair)
  await stillServing(t, first, { bystander: a, open: 1 })
  await keysLapse(t, redis)
})

t.test('B42 channel permissions revoked, and returned', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  await livesThrough(t, {
    redis,
    begin: () => redis.command('ACL', 'SETUSER', 'default', 'resetchannels'),
    end: () => redis.command('ACL', 'SETUSER', 'default', 'allchannels'),
    lastsMs: 3000,
    withinMs: PERMITTED_MS,
    log: /NOPERM/,
  })
})

t.test('B42 a named user: wrong prefix, switched off, password rotated', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const asHub = (...rules: string[]) => redis.command('ACL', 'SETUSER', 'hub', ...rules)
  await asHub('on', '>swordfish-4', '~*', '+@all', '&elsewhere:*')
  const url = `redis://hub:swordfish-4@127.0.0.1:${redis.port}`
  const pair: Pair = [await startNode(t, url), await startNode(t, url)]
  const traffic = await Traffic.start(t, pair, { everyMs: 50 })
  const dropAll = () => redis.command('CLIENT', 'KILL', 'USER', 'hub')
  const troubles = [
    { name: 'wrong prefix', begin: async () => {}, end: () => asHub('&roomcast:*'), reason: 'NOPERM' },
    { name: 'off', begin: () => asHub('off').then(dropAll), end: () => asHub('on'), reason: 'WRONGPASS' },
    {
      name: 'password rotated',
      begin: () => asHub('resetpass', '>other').then(dropAll),
      end: () => asHub('>swordfish-4'),
      reason: 'WRONGPASS',
    },
  ]
  for (const { name, begin, end, reason } of troubles) {
    await begin()
    const downMs = performance.now()
    await bothSay(pair, bothDown, downMs)
    await pollUntil(reason, async () => linksOf(await pair[0].health()).subscriber.reason === reason)
    const { scope } = await localLife(t, pair[0], (round) => round >= 10)
    t.equal(scope, 'node', name)
    await end()
    const backMs = performance.now()
    await isWhole(t, pair, traffic, { backMs, withinMs: PERMITTED_MS })
    traffic.isLocallyFast(t, downMs, backMs)
  }
  await traffic.beats(20)
  await traffic.settle()
  for (const node of pair) t.notOk(node.output.includes('swordfish'), 'no password in the log')
  await isTidy(t, redis, pair, { r: 2 })
})

t.test('B42 the subscriber killed every 5 ms', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const pair = await startPair(t, redis.url)
  const traffic = await Traffic.start(t, pair, { everyMs: 50 })
  await traffic.flows()
  const admin = new Redis(redis.port)
  t.teardown(() => admin.disconnect())
  const startMs = performance.now()
  while (performance.now() < startMs + 4000) {
    await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await pace(5)
  }
  const backMs = performance.now()
  await livedThrough(t, pair, traffic, { fromMs: startMs, backMs })
  await isTidy(t, redis, pair, { r: 2 })
})

t.test('B19 Redis answers with errors in the middle of things', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const pair = await startPair(t, redis.url)
  const traffic = await Traffic.start(t, pair, { everyMs: 20 })
  await traffic.flows()
  const acl = (...rules: string[]) => redis.command('ACL', 'SETUSER', 'default', ...rules)
  const faults = [
    {
      name: 'no publishing',
      begin: () => acl('-publish', '-subscribe'),
      end: () => acl('+publish', '+subscribe'),
      joins: 'node',
    },
    { name: 'no scripts', begin: () => acl('-evalsha'), end: () => acl('+evalsha'), joins: undefined },
    {
      name: 'no memory',
      begin: () => redis.command('CONFIG', 'SET', 'maxmemory', 1),
      end: () => redis.command('CONFIG', 'SET', 'maxmemory', 0),
      joins: undefined,
    },
    { name: 'no keys', begin: () => acl('resetkeys'), end: () => acl('allkeys'), joins: undefined },
  ]
  for (const { name, begin, end, joins } of faults) {
    const lines = pair.map((node) => node.logs.length)
    await begin()
    const downMs = performance.now()
    await bothSay(pair, { publisher: 'down' }, downMs)
    const saidMs = performance.now()
    const { scope } = await localLife(t, pair[0], (round) => round >= 10)
    t.equal(scope, joins, `${name}: what joined says`)
    for (const side of sides) traffic.wasAcked(t, side, 'node', saidMs, performance.now())
    for (const [i, node] of pair.entries()) {
      const said = node.logs.slice(lines[i]).filter(({ level }) => Number(level) >= 40)
      const reasons = said.map(({ reason }) => String(reason))
      t.ok(reasons.length >= 1 && reasons.length <= 4, `${name}: ${reasons}`)
      t.notOk(reasons.includes('ERR'), `${name}: the cause is said, not only that there is one`)
    }
    await end()
    const backMs = performance.now()
    await isWhole(t, pair, traffic, { backMs, withinMs: PERMITTED_MS })
    traffic.isLocallyFast(t, downMs, backMs)
  }
  // Lost scripts are not a lost Redis.
  await redis.command('SCRIPT', 'FLUSH')
  const flushedMs = performance.now()
  await isWhole(t, pair, traffic, { backMs: flushedMs })
  await traffic.beats(50)
  await traffic.settle()
  traffic.verify(t, flushedMs)
  await isTidy(t, redis, pair, { r: 2 })
})

t.test('B19 killed between join and joined', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const pair = await startPair(t, redis.url)
  const waiting = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(pair[0], `w${i}`)))
  const far = await connect(pair[1], 'far')
  redis.freeze()
  for (const client of waiting) client.send({ type: 'join', room: 'new', id: 1 })
  const alone = await connect(pair[0], 'alone')
  await alone.fence()
  await redis.kill()
  for (const client of waiting) {
    const got = await client.fence()
    t.match(got, [{ type: 'joined', room: 'new', id: 1, scope: 'node' }], 'answered once')
    t.equal(got.length, 1)
  }
  waiting[0]?.say('new', 'local')
  await waiting[1]?.next(({ content }) => content === 'local')
  await redis.start()
  await bothSay(pair, bothUp)
  await far.join('new')
  t.match(await far.publish('new', 'from afar'), { scope: 'cluster' })
  for (const client of waiting) await client.next(({ content }) => content === 'from afar')
  await isTidy(t, redis, pair, { new: 2 })
})

t.test('B19 clients gone between join and joined', { buffered: true }, async (t) => {
  const redis = await redisFor(t)
  const pair = await startPair(t, redis.url)
  const b = await connect(pair[0], 'b')
  await b.join('r')
  const goings: ((client: Client) => void)[] = [
    (client) => client.socket.reset(),
    (client) => client.socket.sendClose(1000),
    (client) => client.socket.finish(),
    (client) => client.send({ type: 'leave', room: 'gone' }),
  ]
  const left: Client[] = []
  for (let round = 0; round < 5; round++) {
    const clients = await Promise.all(Array.from({ length: 20 }, (_, i) => connect(pair[0], `g${i}`)))
    redis.freeze()
    for (const [i, client] of clients.entries()) {
      client.send({ type: 'join', room: i % 2 ? 'gone' : `gone ${i}` })
      client.say(i % 2 ? 'gone' : `gone ${i}`, 'still here?')
      goings[i % goings.length]?.(client)
    }
    await b.fence()
    redis.thaw()
    left.push(...clients)
    await saysLinks(pair[0], bothUp)
  }
  for (const { socket } of left) socket.destroy()
  await clientsAre(pair[0], 1, { rooms: 1, deadlineMs: 5000 })
  await stillServing(t, pair[0], { bystander: b, open: 1 })
  await isTidy(t, redis, pair, { r: 1 })
})
